"""F16, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import float_to_half, half_to_float, kernel
from ._lanes import WIDTH, bits_of, float_of, load, load_pairs, store, store_pairs, where


@kernel
def decode(raw, out, first, last):
    raw, out = raw.reshape(-1), out.reshape(-1)
    at = first
    while at + WIDTH <= last:
        store(out, at, to_floats(load_pairs(raw, at * 2)))
        at += WIDTH
    for i in range(at, last):
        out[i] = half_to_float(np.uint16(raw[2 * i]) | (np.uint16(raw[2 * i + 1]) << np.uint16(8)))


@kernel
def encode(rows, importance, out, first, last):
    out, values = out.reshape(-1), rows.reshape(-1)
    at, stop = first * rows.shape[1], last * rows.shape[1]
    while at + WIDTH <= stop:
        store_pairs(out, at * 2, to_halves(load(values, at)))
        at += WIDTH
    for i in range(at, stop):
        half = float_to_half(values[i])
        out[2 * i], out[2 * i + 1] = half & 0xFF, half >> 8


@numba.njit(nogil=True)
def to_floats(half):
    """`half_to_float` for lanes."""
    magnitude = (half & 0x7FFF) << 13
    value = bits_of(float_of(magnitude) * np.float32(2.0**112))
    value = where(magnitude >= 0x7C00 << 13, magnitude | 0x7F800000, value)
    return float_of(value | ((half & 0x8000) << 16))


@numba.njit(nogil=True)
def to_halves(value):
    """`float_to_half` for lanes."""
    bits = bits_of(value)
    magnitude = bits & 0x7FFFFFFF
    tiny = bits_of(float_of(magnitude) + np.float32(0.5)) - 0x3F000000
    half = (magnitude - 0x38000000 + 0xFFF + ((magnitude >> 13) & 1)) >> 13
    half = where(magnitude < 0x38800000, tiny, half)
    half = where(magnitude >= 0x477FF000, 0x7C00, half)
    half = where(magnitude > 0x7F800000, 0x7E00, half)
    return half | ((bits >> 16) & 0x8000)
