"""TQ2_0, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel
from ._lanes import everywhere, greatest, load, round_away, store, to_float, to_int, where
from ._words import inverse_or_zero, load_half, store_half


@kernel
def decode(raw, out, first, last):
    raw = raw.reshape(-1)
    for b in range(first, last):
        d = load_half(raw, b * 66 + 64)
        for at in (0, 16, 32, 48):
            packed = load(raw, b * 66 + at)
            to = b * 256 + (at & 32) * 4 + (at & 16)
            for plane in range(4):
                q = (packed >> (2 * plane)) & 3
                store(out, to + plane * 32, to_float(q - 1) * d)


@kernel
def encode(rows, importance, out, first, last):
    out = out.reshape(-1)
    per_row = rows.shape[1] // 256
    for b in range(first * per_row, last * per_row):
        d = largest_size_of(rows, b * 256, 256)
        inverse = inverse_or_zero(d)
        store_half(out, b * 66 + 64, d)
        for at in (0, 16, 32, 48):
            place = b * 256 + (at & 32) * 4 + (at & 16)
            packed = ternary(load(rows, place), inverse)
            for plane in range(1, 4):
                q = ternary(load(rows, place + plane * 32), inverse)
                packed = packed | (q << (2 * plane))
            store(out, b * 66 + at, packed)


@numba.njit(nogil=True)
def largest_size_of(rows, at, count):
    """The size of the largest of so many values, a multiple of 16."""
    size = everywhere(0)
    for i in range(at, at + count, 16):
        x = abs(load(rows, i))
        size = where(x > size, x, size)
    return greatest(size)


@numba.njit(nogil=True)
def ternary(x, inverse):
    """-1, 0 and 1 as 0, 1 and 2."""
    return (to_int(round_away(x * inverse)) + np.int32(1)) & 3
