"""TQ1_0, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel
from ._lanes import load, store, to_float
from ._words import inverse_or_zero, load_half, store_half
from .tq2_0 import largest_size_of, ternary

# for each 16 bytes: where they lie in a block, where their weights start, how far apart these are
PARTS = ((0, 0, 32), (16, 16, 32), (32, 160, 16))


@kernel
def decode(raw, out, first, last):
    raw, out = raw.reshape(-1), out.reshape(-1)
    for b in range(first, last):
        d = load_half(raw, b * 54 + 52)
        for at, to, apart in PARTS:
            fraction = load(raw, b * 54 + at)
            for plane in range(5):
                product = fraction * 3
                store(out, b * 256 + to + plane * apart, to_float((product >> 8) - 1) * d)
                fraction = product & 255
        for j in range(4):
            byte = np.int32(raw[b * 54 + 48 + j])
            for plane in range(4):
                byte *= 3
                out[b * 256 + 240 + plane * 4 + j] = np.float32((byte >> 8) - 1) * d
                byte &= 255


@kernel
def encode(rows, importance, out, first, last):
    out, tail = out.reshape(-1), np.empty(16, np.uint8)
    per_row = rows.shape[1] // 256
    for b in range(first * per_row, last * per_row):
        d = largest_size_of(rows, b * 256, 256)
        inverse = inverse_or_zero(d)
        store_half(out, b * 54 + 52, d)
        for at, to, apart in PARTS:
            number = ternary(load(rows, b * 256 + to), inverse)
            for plane in range(1, 5):
                digit = ternary(load(rows, b * 256 + to + plane * apart), inverse)
                number = number * 3 + digit
            store(out, b * 54 + at, stretched(number))
        store(tail, 0, ternary(load(rows, b * 256 + 240), inverse))
        for j in range(4):
            number = np.int32(0)
            for plane in range(4):
                number = number * 3 + np.int32(tail[plane * 4 + j])
            out[b * 54 + 48 + j] = stretched(number * 3)


@numba.njit(nogil=True)
def stretched(number):
    """number * 256 / 243, rounded up: near enough with 17261 / 2 ** 14 for all below 243."""
    return (number * 17261 + 16383) >> 14
