"""Write a small model with invented weights, to try things on."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", help="the GGUF file to write")
    parser.add_argument("--arch", default="llama", metavar="NAME", help="its architecture (llama)")
    parser.add_argument("--layers", type=int, default=2, metavar="N")
    parser.add_argument("--embedding", type=int, default=256, metavar="N")
    parser.add_argument("--heads", type=int, default=4, metavar="N")
    parser.add_argument("--kv-heads", type=int, default=2, metavar="N")
    parser.add_argument("--feed-forward", type=int, default=512, metavar="N")
    parser.add_argument("--context", type=int, default=512, metavar="N")
    parser.add_argument(
        "--experts", type=int, default=0, metavar="N", help="experts per layer; 0 makes none"
    )
    parser.add_argument("--experts-used", type=int, default=2, metavar="N")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="another seed, other weights"
    )


def run(options: argparse.Namespace) -> None:
    from ..gguf.summary import size
    from ..testing.tiny import tiny_model

    path = tiny_model(
        options.out,
        options.arch,
        layers=options.layers,
        embedding=options.embedding,
        heads=options.heads,
        kv_heads=options.kv_heads,
        feed_forward=options.feed_forward,
        context=options.context,
        experts=options.experts,
        experts_used=options.experts_used,
        seed=options.seed,
    )
    print(f"{path}: {size(path.stat().st_size)}")
