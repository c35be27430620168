"""Compile the kernels that models need, so that the first start is as fast as all others.

Without a model: those of a plain llama in the common formats. What is compiled stays in the user's
cache folder (LLAMAPY_CACHE moves it) until llamapy, Numba or the processor changes.
"""

from __future__ import annotations

import argparse
import time


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="*", metavar="MODEL", help="a GGUF file")
    parser.add_argument(
        "-m", "--model", action="append", default=[], metavar="FILE", help="the same as MODEL"
    )
    parser.add_argument(
        "--format",
        action="append",
        metavar="NAME",
        help="without a model, only this block format, such as Q4_K; repeatable",
    )
    parser.add_argument(
        "--cache-type",
        "--kv-type",
        dest="kv_type",
        default="f16",
        metavar="NAME",
        help="the format of the cache (f16)",
    )
    parser.add_argument(
        "--precision", choices=["float32"], help="float32 rounds no activations to bytes"
    )


def run(options: argparse.Namespace) -> None:
    from ..engine.warmup import COMMON, warmup
    from ._console import progress

    started = time.monotonic()
    with progress("compiling kernels") as told:
        count = warmup(
            [*options.models, *options.model],
            formats=options.format or COMMON,
            kv_type=options.kv_type,
            precision=options.precision,
            progress=told,
        )
    if count:
        print(f"{count} kernels compiled in {time.monotonic() - started:.1f} s")
    else:
        print("all kernels are there")
