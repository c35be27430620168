"""List the block formats, or measure what each of them would cost a model.

llamapy quants                                       the formats, with their sizes
llamapy quants MODEL.gguf --compare Q4_K,IQ4_XS      errors of every tensor in both
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UnsupportedError
from . import _options

GROUPS = ("tensor", "kind", "layer", "total")


def arguments(parser: argparse.ArgumentParser) -> None:
    _options.add_model(parser)
    parser.add_argument("--compare", metavar="FORMATS", help="block formats, comma-separated")
    parser.add_argument("--by", choices=GROUPS, default="tensor", help="what one line stands for")
    parser.add_argument("--match", metavar="REGEX", help="only tensors whose name it finds")
    parser.add_argument("--imatrix", metavar="FILE", help="importance matrix to encode with")
    parser.add_argument("--json", metavar="FILE", help="write all errors as JSON; - prints them")
    parser.add_argument("--csv", metavar="FILE", help="write all errors as CSV; - prints them")
    parser.add_argument("--plot", metavar="FILE", help="draw the errors (PNG, SVG or PDF)")
    parser.add_argument(
        "-t", "--threads", type=int, metavar="N", help="threads to use (default: all cores)"
    )


def run(options: argparse.Namespace) -> None:
    path = _options.model_path(options)
    if path is None:
        if options.compare:
            raise UnsupportedError(
                "--compare needs a model: llamapy quants MODEL.gguf --compare ..."
            )
        _list_formats()
        return
    if not options.compare:
        raise UnsupportedError("name the formats: llamapy quants MODEL.gguf --compare Q4_K,IQ4_XS")
    _compare(options, path)


def _list_formats() -> None:
    from ..quants import formats
    from ._console import add_row, console, table

    shown = table("format", "id>", "bits>", "block>", "bytes>", "importance", "weights")
    for quant in formats():
        summary = (quant.__doc__ or "").partition("\n")[0]
        sizes = (f"{quant.bits_per_weight():.4g}", quant.block, quant.layout.itemsize)
        add_row(shown, (quant.name, quant.id, *sizes, quant.importance, summary))
    console().print(shown)


def _compare(options: argparse.Namespace, path: str) -> None:
    from ..gguf import GGUF
    from ..quants import report
    from ..quants.plot import figure_class
    from ._console import progress

    importance = None
    if options.imatrix:
        from ..engine.quantizing.imatrix import Imatrix

        importance = Imatrix.open(options.imatrix)
    if options.plot:
        figure_class()  # better told now than after the work
    with GGUF.open(path) as model, progress("comparing") as report_progress:
        tensors: Mapping[str, Any] = model
        if options.match:
            pattern = _pattern(options.match)
            tensors = {n: t for n, t in model.items() if pattern.search(n)}
            if not tensors:
                raise UnsupportedError(f"no tensor's name matches {options.match!r}")
        result = report(
            tensors,
            [name.strip() for name in options.compare.split(",")],
            importance=importance,
            threads=options.threads,
            progress=report_progress,
        )
    if options.plot:
        result.plot().savefig(options.plot, dpi=120)
    printed = False
    for target, text in ((options.json, result.to_json), (options.csv, result.to_csv)):
        if target == "-":
            print(text())
            printed = True
        elif target:
            Path(target).write_text(text(), encoding="utf-8")
    if not printed:
        _show(result, options.by)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UnsupportedError(f"--match {text!r} is no regular expression: {error}") from error


def _show(result: Any, by: str) -> None:
    from ._console import add_row, console, table

    shown = table(by, "format", "bits>", "NMSE>", "SNR dB>", "max error>")
    groups: dict[str, Sequence[Any]] = {
        "tensor": result.errors,
        "kind": result.by_kind(),
        "layer": result.by_layer(),
        "total": (),
    }
    for error in (*groups[by], *result.total()):
        numbers = (f"{error.bits:.3f}", f"{error.nmse:.3e}", f"{error.snr:.2f}")
        add_row(shown, (error.tensor, error.format, *numbers, f"{error.max_error:.3g}"))
    console().print(shown)
    for line in result.left_out():
        print(line)
