"""Quantize a model: write a smaller file that is nearly as good.

llamapy quantize MODEL.gguf Q4_K_M                   writes ggml-model-Q4_K_M.gguf beside it
llamapy quantize MODEL.gguf NEW.gguf Q4_K_M 8        with 8 threads
llamapy quantize --dry-run MODEL.gguf IQ3_XS         the formats and sizes, and nothing else

Options, file types and results are those of llama-quantize. Q4_K_M is a good start; below 4 bits an
importance matrix (--imatrix) helps a great deal, and below 3 there is no doing without.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import UnsupportedError


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="SRC", help="the GGUF file to read; of a split one, the first part")
    add("rest", metavar="[DST] TYPE [THREADS]", nargs="+", help="the file to write, its type")
    add("--pure", action="store_true", help="the same format for all tensors, no mixing")
    add(
        "--tensor-type",
        metavar="REGEX=FORMAT",
        action="append",
        default=[],
        help="a block format for tensors whose name has this in it; repeatable, the first counts",
    )
    add("--tensor-type-file", metavar="FILE", help="such pairs, separated by spaces or newlines")
    add("--output-tensor-type", metavar="FORMAT", help="block format for output.weight")
    add("--token-embedding-type", metavar="FORMAT", help="block format for the token embedding")
    add("--leave-output-tensor", action="store_true", help="leave output.weight as it is")
    add("--imatrix", metavar="FILE", help="importance matrix, from llama-imatrix")
    add(
        "--include-weights",
        metavar="NAME",
        action="append",
        default=[],
        help="use the importance matrix only for tensors with this in their name; repeatable",
    )
    add(
        "--exclude-weights",
        metavar="NAME",
        action="append",
        default=[],
        help="do not use it for tensors with this in their name; repeatable",
    )
    add("--allow-requantize", action="store_true", help="quantize what is quantized already")
    add("--keep-split", action="store_true", help="write as many files as were read")
    add("--prune-layers", metavar="L0,L1,...", help="leave these layers out")
    add(
        "--override-kv",
        metavar="KEY=TYPE:VALUE",
        action="append",
        default=[],
        help="set metadata; TYPE is int, float, bool or str; repeatable",
    )
    add("--dry-run", action="store_true", help="show what would be done, and write nothing")
    parser.usage = "%(prog)s [options] SRC [DST] TYPE [THREADS]"
    parser.epilog = _epilog()


def _epilog() -> str:
    from ..engine.quantizing.file_types import names

    return textwrap.fill(f"file types: {', '.join(names())}", 90)


def run(options: argparse.Namespace) -> None:
    from ..engine.quantizing.quantize import quantize
    from ._console import add_row, console, progress, table

    target, file_type, threads = _positional(options)
    with progress(f"{Path(options.source).name} as {file_type}") as tell:
        plan = quantize(
            options.source,
            target,
            file_type,
            _imatrix(options),
            pure=options.pure,
            tensor_types=_tensor_types(options),
            output_tensor_type=options.output_tensor_type,
            token_embedding_type=options.token_embedding_type,
            leave_output_tensor=options.leave_output_tensor,
            allow_requantize=options.allow_requantize,
            keep_split=options.keep_split,
            prune_layers=_layers(options.prune_layers),
            override_metadata=_overrides(options.override_kv),
            dry_run=options.dry_run,
            threads=threads,
            progress=None if options.dry_run else tell,
        )
    if options.dry_run:
        shown = table(*(f"{name}>" if "MiB" in name else name for name in plan.HEADER))
        for row in plan.rows():
            add_row(shown, row)
        console().print(shown)
    shown = table("format", "tensors>", "weights>", "MiB>")
    for name, n_tensors, n_values, n_bytes in plan.by_format():
        add_row(shown, (name, n_tensors, n_values, f"{n_bytes / 2**20:.2f}"))
    console().print(shown)
    print(plan.summary())
    for path in plan.paths:
        print(f"wrote {path}")
    if plan.lacks_importance:
        print(
            f"{len(plan.lacks_importance)} tensors need an importance matrix (--imatrix), the "
            f"first is {plan.lacks_importance[0]}"
        )


# ---- what was typed


def _positional(options: argparse.Namespace) -> tuple[Path | None, str, int | None]:
    """The target, the file type and the threads: what stands where tells which is missing."""
    from ..engine.quantizing.file_types import find

    rest = options.rest
    if _is_file_type(rest[0]):
        file_type, after = find(rest[0]).name, rest[1:]
        target = Path(options.source).parent / f"ggml-model-{file_type}.gguf"
    elif len(rest) > 1:
        target, file_type, after = Path(rest[0]), find(rest[1]).name, rest[2:]
    else:
        file_type, after = find(rest[0]).name, []  # raises, and lists the file types
        target = Path()
    if len(after) > 1:
        raise UnsupportedError(f"{after[1]!r} is one argument too many: SRC [DST] TYPE [THREADS]")
    if after and not (after[0].isdecimal() and int(after[0]) > 0):
        raise UnsupportedError(f"{after[0]!r} is no number of threads: give 1 or more")
    return (None if options.dry_run else target), file_type, int(after[0]) if after else None


def _is_file_type(text: str) -> bool:
    from ..engine.quantizing.file_types import find

    try:
        find(text)
    except UnsupportedError:
        return False
    return True


def _tensor_types(options: argparse.Namespace) -> list[tuple[str, str]]:
    words = list(options.tensor_type)
    if options.tensor_type_file:
        words += Path(options.tensor_type_file).read_text(encoding="utf-8").split()
    pairs = [word.partition("=")[::2] for word in words]
    for word, (pattern, name) in zip(words, pairs, strict=True):
        if not pattern or not name:
            raise UnsupportedError(f"{word!r} is no pair REGEX=FORMAT, such as attn_v=Q6_K")
    return pairs


def _imatrix(options: argparse.Namespace) -> Any:
    from ..engine.quantizing.imatrix import Imatrix

    include, exclude = options.include_weights, options.exclude_weights
    if not options.imatrix:
        if include or exclude:
            raise UnsupportedError("--include-weights and --exclude-weights go with --imatrix FILE")
        return None
    if include and exclude:
        raise UnsupportedError("choose one of --include-weights and --exclude-weights")
    return Imatrix.open(options.imatrix).select(include, exclude)


def _layers(text: str | None) -> list[int]:
    words = text.split(",") if text else []
    if not all(word.strip().isdecimal() for word in words):
        raise UnsupportedError(f"--prune-layers {text}: give layer numbers, such as 3,4,7")
    return [int(word) for word in words]


VALUES: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "bool": {"true": True, "false": False}.__getitem__,
    "str": str,
}


def _overrides(words: list[str]) -> dict[str, Any]:
    values = {}
    for word in words:
        key, _, typed = word.partition("=")
        kind, colon, text = typed.partition(":")
        try:
            if not (key and colon):
                raise ValueError
            values[key] = VALUES[kind](text)
        except (ValueError, KeyError):
            raise UnsupportedError(
                f"--override-kv {word}: give KEY=TYPE:VALUE with TYPE int, float, bool or str, "
                f"such as llama.context_length=int:8192"
            ) from None
    return values
