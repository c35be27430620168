"""Q5_1, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel
from ._lanes import WIDTH, first_least, greatest, load, store, to_float, to_int, where
from ._pack import load_fifth_bits, load_nibbles, store_fifth_bits, store_nibbles
from ._search_linear import TILE, fit_scale_offsets, row_means, to_scale_offset
from ._words import inverse_or_zero, load_half, store_half


@kernel
def decode(raw, out, first, last):
    raw = raw.reshape(-1)
    for b in range(first, last):
        d, m = load_half(raw, b * 24), load_half(raw, b * 24 + 2)
        low, high = load_nibbles(raw, b * 24 + 8)
        low_fifth, high_fifth = load_fifth_bits(raw, b * 24 + 4)
        low, high = low | low_fifth, high | high_fifth
        store(out, b * 32, to_float(low) * d + m)
        store(out, b * 32 + 16, to_float(high) * d + m)


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
        m = first_least(rows, b * 32, x, y)
        d = abs(greatest(where(x > y, x, y)) - m) / np.float32(31)
        inverse = inverse_or_zero(d)
        low = to_int((x - m) * inverse + np.float32(0.5)) & 255
        high = to_int((y - m) * inverse + np.float32(0.5)) & 255
        write_block(out, b * 24, d, m, low, high)


@numba.njit(nogil=True)
def encode_weighted(rows, importance, out, first, start, stop):
    means = row_means(rows, first, stop * 32 // rows.shape[1])
    tiles, found = np.empty((3, TILE), np.float32), np.empty((4, WIDTH), np.float32)
    for group in range(start, stop, WIDTH):
        fit_scale_offsets(rows, importance, means, first, group, stop, 31, tiles, found)
        for b in range(group, min(group + WIDTH, stop)):
            d, m = found[0, b - group], found[1, b - group]
            inverse, base = found[2, b - group], found[3, b - group]
            low = to_scale_offset(load(rows, b * 32), inverse, base, 31)
            high = to_scale_offset(load(rows, b * 32 + 16), inverse, base, 31)
            write_block(out, b * 24, d, m, low, high)


@numba.njit(nogil=True)
def write_block(out, at, d, m, low, high):
    store_half(out, at, d)
    store_half(out, at + 2, m)
    store_fifth_bits(out, at + 4, low, high)
    store_nibbles(out, at + 8, low, high)
