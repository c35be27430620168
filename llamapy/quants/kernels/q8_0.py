"""Q8_0, compiled."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from ._words import load_half, round_away, store_half


@kernel
def decode(raw, out, first, last):
    for b in range(first, last):
        d = load_half(raw[b], 0)
        for j in range(32):
            out[b, j] = d * np.int8(raw[b, 2 + j])


@kernel
def encode(rows, importance, out, first, last):
    for r in range(first, last):
        for b in range(rows.shape[1] // 32):
            x = rows[r, b * 32 : b * 32 + 32]
            block = out[r, b * 34 : b * 34 + 34]
            largest = np.float32(0)
            for j in range(32):
                largest = max(largest, abs(x[j]))
            d = largest / np.float32(127)
            inverse = np.float32(1) / d if d != 0 else np.float32(0)
            store_half(block, 0, d)
            for j in range(32):
                block[2 + j] = np.uint8(np.int8(round_away(x[j] * inverse)))
