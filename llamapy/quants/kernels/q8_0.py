"""Q8_0, compiled."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from ._lanes import largest_size, load, round_away, store, to_float, to_int
from ._words import inverse_or_zero, load_half, store_half


@kernel
def decode(raw, out, first, last):
    raw = raw.reshape(-1)
    for b in range(first, last):
        d = load_half(raw, b * 34)
        for j in range(0, 32, 16):
            q = load(raw, b * 34 + 2 + j)
            store(out, b * 32 + j, to_float((q ^ 128) - 128) * d)


@kernel
def encode(rows, importance, out, first, last):
    out = out.reshape(-1)
    per_row = rows.shape[1] // 32
    for b in range(first * per_row, last * per_row):
        x, y = load(rows, b * 32), load(rows, b * 32 + 16)
        d = largest_size(x, y) / np.float32(127)
        inverse = inverse_or_zero(d)
        store_half(out, b * 34, d)
        store(out, b * 34 + 2, to_int(round_away(x * inverse)))
        store(out, b * 34 + 18, to_int(round_away(y * inverse)))
