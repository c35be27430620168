"""Collect an importance matrix, which `llamapy quantize --imatrix` reads.

The model computes a text in chunks of -c tokens, and what goes into each of its matrices is noted.
The file is written anew every few chunks and appears whole each time, so that Ctrl-C leaves what
was collected. With --in-file, files that exist are added; without a text, only those are combined.
"""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from ..errors import UnsupportedError
from . import _options

if TYPE_CHECKING:
    from ..engine.quantizing.imatrix import Imatrix

INTERRUPTED = 130
CHUNK = 512


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _options.add_model(parser)
    _options.add_prompt(parser)
    add(
        "-o",
        "--output",
        "--output-file",
        default="imatrix.gguf",
        metavar="FILE",
        help="the file to write (default: imatrix.gguf)",
    )
    _options.add_context(parser, f"tokens of a chunk (default: {CHUNK}, or that of --in-file)")
    add("-b", "--batch-size", type=int, default=512, metavar="N", help="tokens computed together")
    add("--chunks", type=int, default=-1, metavar="N", help="use so many chunks; -1: all")
    add("--chunk", "--from-chunk", type=int, default=0, metavar="N", help="leave out the first N")
    add(
        "--in-file",
        action="append",
        default=[],
        metavar="FILE",
        help="add to this importance matrix; repeatable, or several with commas between",
    )
    add("--process-output", action="store_true", help="collect for the output's matrix as well")
    add("--parse-special", action="store_true", help="read special tokens spelled out in the text")
    add(
        "-ofreq",
        "--output-frequency",
        type=int,
        default=10,
        metavar="N",
        help="write the file every N chunks (default: 10); 0: only at the end",
    )
    add("--no-ppl", action="store_true", help="do not tell the perplexity on the way")
    _options.add_device(parser)


def run(options: argparse.Namespace) -> int:
    from ..engine.quantizing.collect_imatrix import combined
    from ..engine.quantizing.imatrix import Imatrix

    files = [name for names in options.in_file for name in names.split(",")]
    onto = [Imatrix.open(name) for name in files]
    known = next((matrix.chunk_size for matrix in onto if matrix.chunk_size), CHUNK)
    n_ctx = options.n_ctx or known
    has_text = options.prompt is not None or options.prompt_file is not None
    text = _options.prompt(options) if has_text or not onto else None
    if not text:
        if not onto:
            raise UnsupportedError("there is no text: pass -f FILE, or --in-file to combine files")
        _save(combined(onto, n_ctx), options)
        return 0
    return _collect(text.removesuffix(b"\n"), onto, n_ctx, options)


def _collect(text: bytes, onto: list[Imatrix], n_ctx: int, options: argparse.Namespace) -> int:
    from ..engine.generating.chunks import chunked
    from ..engine.load import load
    from ..engine.measuring.perplexity import surprises
    from ..engine.quantizing.collect_imatrix import Collector, combined

    loading = {**_options.load_options(options), "n_ctx": n_ctx}
    with load(_options.model_path(options), **loading) as model:
        chunks = chunked(
            model,
            text,
            n_ctx,
            n_chunks=None if options.chunks == -1 else options.chunks,
            first_chunk=options.chunk,
            special=options.parse_special,
        )
        collector = Collector(model, process_output=options.process_output)
        dataset = options.prompt_file or ""

        def so_far() -> Imatrix:
            return combined([*onto, collector.imatrix(n_ctx, dataset)], n_ctx)

        print(f"{len(chunks.chunks)} chunks of {n_ctx} tokens")
        found: list[Any] = []
        interrupted = False
        total, count, every = 0.0, 0, options.output_frequency
        try:
            for surprise in surprises(model, chunks, n_batch=options.batch_size, run=collector.run):
                found.append(surprise)
                total, count = total + float(surprise.sum()), count + len(surprise)
                told = "" if options.no_ppl else f"{math.exp(total / count):.4f}"
                print(f"[{len(found)}]{told},", end="", flush=True)
                if every > 0 and len(found) % every == 0 and len(found) < len(chunks.chunks):
                    so_far().save(options.output)
        except KeyboardInterrupt:
            if not found:
                raise
            interrupted = True
        print()
        if interrupted:
            print(f"interrupted after {len(found)} of {len(chunks.chunks)} chunks")
        elif not options.no_ppl:
            from ..engine.measuring.perplexity import Perplexity

            print(f"Final estimate: PPL = {Perplexity.of(found, n_ctx)}")
        _save(so_far(), options)
    return INTERRUPTED if interrupted else 0


def _save(matrix: Imatrix, options: argparse.Namespace) -> None:
    matrix.save(options.output)
    unseen = [name for name, entry in matrix.entries.items() if not entry.counts.all()]
    print(f"{options.output}: {len(matrix)} tensors, {matrix.chunks} chunks")
    if unseen:
        print(
            f"{len(unseen)} of them have experts that no token of the text went to, such as "
            f"{unseen[0]}: all their inputs count alike; a longer text may reach them"
        )
