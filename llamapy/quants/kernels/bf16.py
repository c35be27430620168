"""BF16, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import bits_float, kernel
from ._lanes import (
    WIDTH,
    bits_of,
    everywhere,
    float_of,
    load,
    load_pairs,
    store,
    store_pairs,
    where,
)


@kernel
def decode(raw, out, first, last):
    raw, out = raw.reshape(-1), out.reshape(-1)
    at = first
    while at + WIDTH <= last:
        store(out, at, float_of(load_pairs(raw, at * 2) << 16))
        at += WIDTH
    for i in range(at, last):
        out[i] = bits_float((raw[2 * i] | (raw[2 * i + 1] << 8)) << 16)


@kernel
def encode(rows, importance, out, first, last):
    out, values = out.reshape(-1), rows.reshape(-1)
    at, stop = first * rows.shape[1], last * rows.shape[1]
    while at + WIDTH <= stop:
        store_pairs(out, at * 2, upper_halves(load(values, at)))
        at += WIDTH
    one = np.empty(2 * WIDTH, np.uint8)
    for i in range(at, stop):
        store_pairs(one, 0, upper_halves(everywhere(values[i])))
        out[2 * i], out[2 * i + 1] = one[0], one[1]


@numba.njit(nogil=True)
def upper_halves(value):
    bits = bits_of(value)
    upper = bits >> 16
    rounded = (bits + 0x7FFF + (upper & 1)) >> 16
    return where((bits & 0x7FFFFFFF) > 0x7F800000, upper | 64, rounded)
