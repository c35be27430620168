"""Merge LoRA adapters into a model, or tell what is in one.

llamapy lora merge -m MODEL.gguf --lora PIRATE.gguf:0.7 -o NEW.gguf
llamapy lora info PIRATE.gguf

A tensor that changes is computed in float32 and keeps its block format, or gets that of --outtype;
all others are copied. To use adapters without merging them, see `model.add_lora` in Python.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, summary: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=summary, description=summary, allow_abbrev=False)

    made = action("merge", "write a model with adapters added to it")
    made.add_argument("-m", "--model", metavar="FILE", required=True, help="the model")
    made.add_argument(
        "--lora",
        metavar="FILE[:SCALE]",
        action="append",
        required=True,
        help="an adapter, and how much it counts (default: 1); repeatable",
    )
    made.add_argument("-o", "--output", metavar="FILE", required=True, help="the file to write")
    made.add_argument("--outtype", metavar="FORMAT", help="block format of tensors that change")
    made.add_argument("-t", "--threads", type=int, metavar="N", help="default: all cores")
    _add_skip(made)

    made = action("info", "what an adapter is, and what it changes")
    made.add_argument("file", metavar="FILE")
    made.add_argument("--json", action="store_true", help="print JSON for programs")
    _add_skip(made)


def _add_skip(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--skip",
        metavar="PATTERN",
        action="append",
        default=[],
        help="leave out an adapter's tensors of such names, as '*_norm.weight'; repeatable",
    )


def run(options: argparse.Namespace) -> None:
    actions: dict[str, Callable[[argparse.Namespace], None]] = {"merge": _merge, "info": _info}
    actions[options.action](options)


def _merge(options: argparse.Namespace) -> None:
    from contextlib import ExitStack

    from ..engine.adapting.lora import Lora
    from ..engine.adapting.merge import merge
    from ._console import progress
    from ._options import scaled

    with ExitStack() as stack:
        adapters = []
        for text in options.lora:
            path, scale = scaled(text)
            adapters.append((stack.enter_context(Lora.open(path, skip=options.skip)), scale))
        with progress(Path(options.output).name) as tell:
            done = merge(
                options.model,
                adapters,
                options.output,
                outtype=options.outtype,
                threads=options.threads,
                progress=tell,
            )
    print(done)


def _info(options: argparse.Namespace) -> None:
    from ..engine.adapting.lora import Lora
    from ._console import add_row, console, table, write_json

    with Lora.open(options.file, skip=options.skip) as lora:
        said: dict[str, Any] = {
            "name": lora.name,
            "architecture": lora.architecture,
            "alpha": lora.alpha,
            "ranks": list(lora.ranks),
            "matrices": len(lora),
            "weights": lora.n_values,
            "bytes": lora.file.size,
            "invocation_tokens": list(lora.invocation_tokens),
            "task": lora.metadata.get("adapter.lora.task_name", ""),
            "prompt_prefix": lora.metadata.get("adapter.lora.prompt_prefix", ""),
        }
        tensors: list[dict[str, Any]] = [
            {
                "name": name,
                "shape": list(pair.shape),
                "rank": pair.rank,
                "formats": [pair.a.quant.name, pair.b.quant.name],
            }
            for name, pair in lora.items()
        ]
    if options.json:
        write_json({**said, "tensors": tensors})
        return
    shown = table("", "")
    for key, value in said.items():
        if value not in ("", []):
            words = ", ".join(map(str, value)) if isinstance(value, list) else value
            add_row(shown, (key.replace("_", " "), words))
    console().print(shown)
    shown = table("tensor", "shape", "rank>", "formats")
    for row in tensors:
        shape = " x ".join(map(str, row["shape"]))
        add_row(shown, (row["name"], shape, row["rank"], ", ".join(row["formats"])))
    console().print(shown)
