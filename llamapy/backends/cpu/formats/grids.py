# mypy: check-untyped-defs=False
"""Formats whose groups of weights are points of a codebook: here every weight gets its own code.

Looking points up costs more than the memory that they save, so they are looked up once, when the
weights are packed. The codes give the point's number back: no two points are alike.
"""

from __future__ import annotations

import numpy as np

from ....quants import _grids
from ..kernel import device, once
from ..simd import (
    load_bytes16,
    load_i64,
    load_u16,
    unsigned_ints,
)


@once
def tables_of(book: str, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """A book's points as bytes of codes, eight to a word; and for codes, bit by bit, the point."""
    points = getattr(_grids, book).points.astype(np.uint64)
    width = points.shape[1]
    words = (points << (np.arange(width, dtype=np.uint64) * np.uint64(8))).sum(1, dtype=np.uint64)
    keys = (points << (np.arange(width, dtype=np.uint64) * np.uint64(bits))).sum(1)
    numbers = np.zeros(1 << (bits * width), np.uint16)
    numbers[keys.astype(np.int64)] = np.arange(len(points))
    return words, numbers


# ---- points and signs


@device
def point(tables, number):
    return load_i64(tables + 8 * number)


@device
def number8(tables, codes):
    """The number of a point of 8 codes of 2 bits."""
    codes &= 0x0303030303030303
    codes = (codes | (codes >> 6)) & 0x000F000F000F000F
    codes = (codes | (codes >> 12)) & 0x000000FF000000FF
    return load_u16(tables + 2 * ((codes | (codes >> 24)) & 0xFFFF))


@device
def number4(tables, codes):
    """The number of a point of 4 codes of 3 bits."""
    codes &= 0x07070707
    codes = (codes | (codes >> 5)) & 0x003F003F
    return load_u16(tables + 2 * ((codes | (codes >> 10)) & 0xFFF))


@device
def even_signs(signs):
    """Four bytes of seven signs, each with an eighth that makes the count of minus even."""
    odd = signs ^ (signs >> 4)
    odd ^= odd >> 2
    odd ^= odd >> 1
    return signs | ((odd & 0x01010101) << 7)


@device
def four_even_signs(packed):
    """Four times 7 bits as 32 signs."""
    low = (packed & 127) | ((packed << 1) & 0x7F00)
    return even_signs(low | ((packed << 2) & 0x7F0000) | ((packed << 3) & 0x7F000000))


@device
def four_sevens(signs):
    packed = 0
    for k in range(4):
        packed |= ((signs >> (8 * k)) & 127) << (7 * k)
    return packed


@device
def odd_number(at, part):
    """2s + 1, kept as a byte."""
    return unsigned_ints(load_bytes16(at))


@device
def odd(s):
    return s + s + 1


@device
def odd_number_of_two(at, part):
    """2s + 1, for s one half of a byte."""
    return odd((unsigned_ints(load_bytes16(at)) >> (4 * part)) & 15)
