"""Say how much memory a model takes, before any is allocated."""

from __future__ import annotations

import argparse
import dataclasses

from . import _options


def arguments(parser: argparse.ArgumentParser) -> None:
    _options.add_model(parser)
    _options.add_context(parser, "the context in tokens; by default a short one")
    _options.add_places(parser)
    parser.add_argument(
        "-np",
        "--parallel",
        "--sequences",
        dest="sequences",
        type=int,
        default=1,
        metavar="N",
        help="at the same time",
    )
    parser.add_argument(
        "-ub",
        "--ubatch-size",
        "-b",
        "--batch",
        "--batch-size",
        dest="batch",
        type=int,
        default=512,
        metavar="N",
        help="tokens of a step",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    from ..engine.load import plan_memory
    from ..gguf.summary import size
    from ._console import add_row, console, table, write_json

    plan = plan_memory(
        _options.model_path(options) or _options.default_model(),
        options.device,
        n_gpu_layers=options.gpu_layers,
        split=options.split,
        n_ctx=options.n_ctx or None,
        kv_type=_options.kv_type(options),
        n_sequences=options.sequences,
        n_batch=options.batch,
    )
    if options.json:
        write_json({**dataclasses.asdict(plan), "total": plan.total, "missing": plan.missing})
    else:
        shown = table("", "bytes>")
        for name, n_bytes in plan.rows():
            add_row(shown, (name, "unknown" if n_bytes is None else size(n_bytes)))
        console().print(shown)
        if plan.missing:
            print(f"{size(plan.missing)} too much: {plan.advice}")
    return 1 if plan.missing else 0
