"""File types: the recipes that a whole model is quantized by, llama.cpp's `llama_ftype`.

A file type is not a block format: Q4_K_M is mostly Q4_K, with more bits where they matter most.
`mixing` has the rules; here are the names, the numbers that files carry, and the usual format.

>>> find("q4_k_m")
FileType(id=15, name='Q4_K_M', default='Q4_K')
>>> find("Q4_K").name, find(15).name
('Q4_K_M', 'Q4_K_M')
"""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import UnsupportedError


@dataclass(frozen=True)
class FileType:
    """A recipe: the number in `general.file_type`, and the block format most tensors get."""

    id: int
    name: str
    default: str


FILE_TYPES = tuple(
    FileType(*row)
    for row in (
        (0, "F32", "F32"),
        (1, "F16", "F16"),
        (2, "Q4_0", "Q4_0"),
        (3, "Q4_1", "Q4_1"),
        (7, "Q8_0", "Q8_0"),
        (8, "Q5_0", "Q5_0"),
        (9, "Q5_1", "Q5_1"),
        (10, "Q2_K", "Q2_K"),
        (11, "Q3_K_S", "Q3_K"),
        (12, "Q3_K_M", "Q3_K"),
        (13, "Q3_K_L", "Q3_K"),
        (14, "Q4_K_S", "Q4_K"),
        (15, "Q4_K_M", "Q4_K"),
        (16, "Q5_K_S", "Q5_K"),
        (17, "Q5_K_M", "Q5_K"),
        (18, "Q6_K", "Q6_K"),
        (19, "IQ2_XXS", "IQ2_XXS"),
        (20, "IQ2_XS", "IQ2_XS"),
        (21, "Q2_K_S", "Q2_K"),
        (22, "IQ3_XS", "IQ3_S"),
        (23, "IQ3_XXS", "IQ3_XXS"),
        (24, "IQ1_S", "IQ1_S"),
        (25, "IQ4_NL", "IQ4_NL"),
        (26, "IQ3_S", "IQ3_S"),
        (27, "IQ3_M", "IQ3_S"),
        (28, "IQ2_S", "IQ2_XS"),
        (29, "IQ2_M", "IQ2_S"),
        (30, "IQ4_XS", "IQ4_XS"),
        (31, "IQ1_M", "IQ1_M"),
        (32, "BF16", "BF16"),
        (36, "TQ1_0", "TQ1_0"),
        (37, "TQ2_0", "TQ2_0"),
        (38, "MXFP4_MOE", "MXFP4"),
        (39, "NVFP4", "NVFP4"),
        (40, "Q1_0", "Q1_0"),
        (41, "Q2_0", "Q2_0"),
    )
)

ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}

# Every tensor keeps the format that it has. Its number is the source's, not this one.
COPY = FileType(-1, "COPY", "")

# Added to the number of a file type that was guessed from the tensors, not read from the file.
GUESSED = 1024

# A file of these is made by converting a model that was trained for them, never from other weights.
CONVERTED_ONLY = ("NVFP4",)

_by_name = {one.name: one for one in (*FILE_TYPES, COPY)}
_by_name |= {alias: _by_name[name] for alias, name in ALIASES.items()}
_by_id = {one.id: one for one in FILE_TYPES}


def find(name: str | int | FileType) -> FileType:
    """The file type of this name, in any case, or of this number."""
    if isinstance(name, FileType):
        return name
    text = str(name).strip().upper()
    found = _by_id.get(int(text)) if text.isdecimal() else _by_name.get(text)
    if found is None:
        raise UnsupportedError(
            f"no file type is called {name!r}: choose one of {', '.join(names())}"
        )
    return found


def names() -> list[str]:
    """The file types that a model can be quantized to, aliases and COPY included."""
    return [name for name in _by_name if name not in CONVERTED_ONLY]


def guess(formats: list[str]) -> int:
    """The number for a file that names no file type: that of its commonest format.

    Of several that are equally common, the one that was the commonest first.
    """
    counts: dict[str, int] = {}
    commonest = "F32"
    for name in formats:
        counts[name] = counts.get(name, 0) + 1
        if counts[name] > counts.get(commonest, 0):
            commonest = name
    return _by_name.get(commonest, _by_name["F32"]).id | GUESSED
