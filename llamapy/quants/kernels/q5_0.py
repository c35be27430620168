"""Q5_0, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel
from ._lanes import WIDTH, largest_signed, load, store, to_float, to_int, where
from ._pack import load_fifth_bits, load_nibbles, store_fifth_bits, store_nibbles
from ._search_linear import TILE, fit_scales, row_means, to_scale
from ._words import inverse_or_zero, load_half, store_half


@kernel
def decode(raw, out, first, last):
    raw = raw.reshape(-1)
    for b in range(first, last):
        d = load_half(raw, b * 22)
        low, high = load_nibbles(raw, b * 22 + 6)
        low_fifth, high_fifth = load_fifth_bits(raw, b * 22 + 2)
        low, high = low | low_fifth, high | high_fifth
        store(out, b * 32, to_float(low - 16) * d)
        store(out, b * 32 + 16, to_float(high - 16) * d)


@kernel
def encode(rows, importance, out, first, last):
    per_row = rows.shape[1] // 32
    if len(importance):
        encode_weighted(rows, importance, out.reshape(-1), first, first * per_row, last * per_row)
    else:
        encode_plain(rows.reshape(-1), out.reshape(-1), first * per_row, last * per_row)


@numba.njit(nogil=True)
def encode_plain(rows, out, start, stop):
    for b in range(start, stop):
        x, y = load(rows, b * 32), load(rows, b * 32 + 16)
        d = largest_signed(rows, b * 32, x, y) / np.float32(-16)
        inverse = inverse_or_zero(d)
        low = to_int(x * inverse + np.float32(16.5)) & 255
        high = to_int(y * inverse + np.float32(16.5)) & 255
        write_block(out, b * 22, d, where(low > 31, 31, low), where(high > 31, 31, high))


@numba.njit(nogil=True)
def encode_weighted(rows, importance, out, first, start, stop):
    means = row_means(rows, first, stop * 32 // rows.shape[1])
    tiles, found = np.empty((3, TILE), np.float32), np.empty((2, WIDTH), np.float32)
    for group in range(start, stop, WIDTH):
        fit_scales(rows, importance, means, first, group, stop, 16, tiles, found)
        for b in range(group, min(group + WIDTH, stop)):
            d, inverse = found[0, b - group], found[1, b - group]
            low = to_scale(load(rows, b * 32), inverse, 16)
            high = to_scale(load(rows, b * 32 + 16), inverse, 16)
            write_block(out, b * 22, d, low, high)


@numba.njit(nogil=True)
def write_block(out, at, d, low, high):
    store_half(out, at, d)
    store_fifth_bits(out, at + 2, low, high)
    store_nibbles(out, at + 6, low, high)
