"""MXFP4, compiled."""

from __future__ import annotations

import math

import numba
import numpy as np
from numba.core import types

from ...jit import bits_float, float_bits, kernel
from ..mxfp4 import FP4
from ._lanes import everywhere, largest_size, load, pick, store, to_int, where
from ._pack import load_nibbles, store_nibbles


@kernel
def decode(raw, out, first, last):
    raw = raw.reshape(-1)
    for b in range(first, last):
        d = half_power(raw[b * 17])
        low, high = load_nibbles(raw, b * 17 + 1)
        store(out, b * 32, pick(FP4, low) * d)
        store(out, b * 32 + 16, pick(FP4, high) * d)


@kernel
def encode(rows, importance, out, first, last):
    out = out.reshape(-1)
    per_row = rows.shape[1] // 32
    for b in range(first * per_row, last * per_row):
        x, y = load(rows, b * 32), load(rows, b * 32 + 16)
        largest = largest_size(x, y)
        e = (power_below(largest) - 2 + 127) & 255 if largest > 0 else 0
        d = half_power(e)
        out[b * 17] = e
        store_nibbles(out, b * 17 + 1, nearest_fp4(x, d), nearest_fp4(y, d))


@numba.njit(nogil=True)
def half_power(e):
    """2 ** (e - 128): below 2 ** -126 a float's mantissa shifts instead of its exponent."""
    bits = types.uint32(0x00200000) << types.uint32(e)
    return bits_float(bits) if e < 2 else bits_float(types.uint32(e - 1) << types.uint32(23))


@numba.njit(nogil=True)
def power_below(x):
    """The exponent of the greatest power of two that is <= x, from a logarithm in float32."""
    bits = np.int64(float_bits(x))
    if bits >= 0x00800000 and (bits & 0x007FFFFF) < 0x007FFF00:
        return (bits >> 23) - 127
    return np.int64(math.floor(np.float32(math.log2(np.float64(x)))))


@numba.njit(nogil=True)
def nearest_fp4(x, d):
    """Which FP4 is nearest to each x / d, the smaller one halfway; right while x < 2 ** 20 * d."""
    size, q = abs(x), to_int(everywhere(0))
    for i in range(7):
        low, high = FP4[i] * d, FP4[i + 1] * d  # a high one that is infinite is never near
        middle = low + (high - low) / np.float32(2)
        q = where(size > middle, i + 1, q)
    return where((q > 0) & (x < 0), q + 8, q)
