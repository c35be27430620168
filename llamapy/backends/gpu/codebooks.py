"""The codebooks of the IQ formats as kernels read them: words of four values each."""

from __future__ import annotations

import functools

import numpy as np

from ...quants import _grids as grids

TERNARY = (104, 112, 120)  # 8 * level + 112, for the levels -1, 0 and 1
THREE = (8, 25, 43)
# a format's points, and what a point's levels stand for
BOOKS = {
    "IQ1_S": (grids.IQ1, TERNARY),
    "IQ1_M": (grids.IQ1, TERNARY),
    "IQ2_XXS": (grids.IQ2_XXS, THREE),
    "IQ2_XS": (grids.IQ2_XS, THREE),
    "IQ2_S": (grids.IQ2_S, THREE),
    "IQ3_XXS": (grids.IQ3_XXS, (4, 12, 20, 28, 36, 44, 52, 62)),
    "IQ3_S": (grids.IQ3_S, (1, 3, 5, 7, 9, 11, 13, 15)),
}


@functools.cache
def codebook(name: str) -> str:
    """The table of a format; nothing for one without."""
    if name not in BOOKS:
        return ""
    book, values = BOOKS[name]
    words = np.array(values, np.uint8)[book.points].reshape(-1).view("<u4")
    numbers = ", ".join(f"{word:#x}u" for word in words)
    return f"TABLE uint CODEBOOK[{len(words)}] = {{{numbers}}};\n"
