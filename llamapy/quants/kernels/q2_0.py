"""Q2_0, compiled."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from ._lanes import counting, load, round_away, store, to_float, to_int, where
from ._words import inverse_or_zero, load_half, store_half
from .tq2_0 import largest_size_of


@kernel
def decode(raw, out, first, last):
    raw = raw.reshape(-1)
    for b in range(first, last):
        d = load_half(raw, b * 18)
        for j in range(4):
            at = b * 18 + 2 + 4 * j
            word = np.int32(raw[at]) | (np.int32(raw[at + 1]) << 8)
            word |= (np.int32(raw[at + 2]) << 16) | (np.int32(raw[at + 3]) << 24)
            q = (word >> (counting() * 2)) & 3
            store(out, b * 64 + 16 * j, to_float(q - 1) * d)


@kernel
def encode(rows, importance, out, first, last):
    out = out.reshape(-1)
    loose = np.empty(64, np.uint8)
    words = loose.view(np.int32)
    per_row = rows.shape[1] // 64
    for b in range(first * per_row, last * per_row):
        d = largest_size_of(rows, b * 64, 64)
        inverse = inverse_or_zero(d)
        store_half(out, b * 18, d)
        for j in range(0, 64, 16):
            q = to_int(round_away(load(rows, b * 64 + j) * inverse)) + np.int32(1)
            q = where(q > 0, q, 0)
            store(loose, j, where(q < 3, q, 3))
        # four bytes of two bits each, gathered into one: 8 bits apart become 2
        four = load(words, 0)
        store(out, b * 18 + 2, four | (four >> 6) | (four >> 12) | (four >> 18))
