"""The text of a program: a prelude, constants, the formats of packed operands, and kernels.

A kernel that reads packed rows calls the words of a format's snippet, such as `decode32`. Where
two operands are packed, the snippets stand in the program one after the other, and the names of
the second begin with `second_`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ... import quants
from .codebooks import codebook

FOLDER = Path(__file__).parent
# the words that a snippet defines, of which a second format has its own
WORDS = (
    *("BLOCK", "BLOCK_BYTES", "BLOCK_ALIGNED", "BLOCK_AT", "ROW_BYTES", "CODEBOOK"),
    *("decode", "decode32", "dot32", "levels32"),
    *("HAS_DECODE", "HAS_HALVES", "HAS_LEVELS", "HAS_LOW"),
)

# the kernels that get what writes and reads cells
OF_CELLS = ("attention", "attention_parts", "cells")


@dataclass(frozen=True)
class Program:
    """Kernels of one file, for some formats and constants; `lanes` is the size of a group."""

    kernels: str
    formats: tuple[str, ...] = ()
    constants: tuple[tuple[str, int], ...] = ()
    lanes: int = 64

    def __str__(self) -> str:
        of = ", ".join((*self.formats, *(f"{name}={value}" for name, value in self.constants)))
        return f"{self.kernels}{f'({of})' if of else ''}"


@functools.cache
def text(program: Program, dialect: str) -> str:
    """The whole program in a dialect: opencl, or cuda, which HIP compiles, too."""
    constants: Mapping[str, int] = {"LANES": program.lanes, **dict(program.constants)}
    parts = [
        _define(constants),
        _read(f"preludes/{dialect}.h"),
        _read("preludes/common.h"),
        _read("preludes/levels.h") if program.formats else "",
        *_formats(program.formats),
        *_encoder(program),
        _read(f"kernels/{program.kernels}.c"),
    ]
    return "\n".join(parts)


@functools.cache
def readable() -> tuple[str, ...]:
    """The block formats whose rows kernels can read: those with a snippet in `formats`."""
    return tuple(sorted(path.stem.upper() for path in (FOLDER / "formats").glob("*.c")))


@functools.cache
def writable() -> tuple[str, ...]:
    """The block formats that kernels can write: those with a snippet in `encoders`."""
    return tuple(sorted(path.stem.upper() for path in (FOLDER / "encoders").glob("*.c")))


@functools.cache
def has_levels(name: str) -> bool:
    """Whether weights are whole numbers times a scale: they multiply rounded activations."""
    return "levels32" in _read(f"formats/{name.lower()}.c")


def _formats(names: Sequence[str]) -> list[str]:
    """The snippets; the words of all but the first get a prefix."""
    parts = []
    for prefix, name in zip(("", "second_"), names, strict=False):
        quant = quants.get(name)
        size = quant.layout.itemsize
        aligned = size & -size if size % 16 else 16
        sizes = {"BLOCK": quant.block, "BLOCK_BYTES": size, "BLOCK_ALIGNED": aligned}
        snippet = _define(sizes) + ROW_BYTES + codebook(name) + _read(f"formats/{name.lower()}.c")
        if has_levels(name):
            snippet += _read("formats/levels.h")
        for word in WORDS if prefix else ():
            snippet = _renamed(snippet, word, prefix + word)
        parts.append(snippet)
    return parts


ROW_BYTES = "#define ROW_BYTES(columns) ((size_t)(columns) / BLOCK * BLOCK_BYTES)\n"


def _encoder(program: Program) -> list[str]:
    """What writes and reads cells in the format, for kernels that do."""
    if program.kernels not in OF_CELLS or not set(program.formats[:1]) & set(writable()):
        return []
    name = program.formats[0]
    shared = _read("encoders/blocks.h") if quants.get(name).block > 1 else ""
    return ["#define HAS_STORE32", shared, _read(f"encoders/{name.lower()}.c")]


def _renamed(code: str, word: str, new: str) -> str:
    return re.sub(rf"\b{word}\b", new, code)


def _define(constants: Mapping[str, int]) -> str:
    return "".join(f"#define {name} {value}\n" for name, value in constants.items())


@functools.cache
def _read(name: str) -> str:
    return (FOLDER / name).read_text()
