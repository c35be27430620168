"""Say how much memory a model takes, before any is allocated."""

from __future__ import annotations

import argparse

from ..engine.load import plan_memory
from ..gguf.summary import size
from ._console import add_row, console, table, write_json


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument(
        "-c",
        "--n-ctx",
        type=int,
        metavar="N",
        help="the context in tokens; by default a short one",
    )
    parser.add_argument(
        "--kv-type",
        default="f16",
        metavar="TYPE",
        help="f32, f16 (the default), bf16, q8_0 or q4_0",
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, numpy ...")
    parser.add_argument("--sequences", type=int, default=1, metavar="N", help="at the same time")
    parser.add_argument("--batch", type=int, default=512, metavar="N", help="tokens of a step")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    plan = plan_memory(
        options.model,
        options.device,
        n_ctx=options.n_ctx,
        kv_type=options.kv_type,
        n_sequences=options.sequences,
        n_batch=options.batch,
    )
    if options.json:
        write_json({**vars(plan), "total": plan.total, "missing": plan.missing})
    else:
        shown = table("", "bytes>")
        for name, n_bytes in plan.rows():
            add_row(shown, (name, "unknown" if n_bytes is None else size(n_bytes)))
        console().print(shown)
        if plan.missing:
            print(f"{size(plan.missing)} too much: {plan.advice}")
    return 1 if plan.missing else 0
