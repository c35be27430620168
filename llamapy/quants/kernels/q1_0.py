"""Q1_0, compiled."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from ._lanes import WIDTH, counting, everywhere, load, load_turned, store, true_lanes, where
from ._words import load_half, store_half


@kernel
def decode(raw, out, first, last):
    raw = raw.reshape(-1)
    for b in range(first, last):
        d = load_half(raw, b * 18)
        for j in range(8):
            at = b * 18 + 2 + 2 * j
            bits = np.int32(raw[at]) | (np.int32(raw[at + 1]) << 8)
            up = ((bits >> counting()) & 1) > 0
            store(out, b * 128 + 16 * j, where(up, everywhere(d), -d))


@kernel
def encode(rows, importance, out, first, last):
    out = out.reshape(-1)
    per_row = rows.shape[1] // 128
    stop = last * per_row
    starts, tile = np.empty(WIDTH, np.int64), np.empty(WIDTH * WIDTH, np.float32)
    scales = np.empty(WIDTH, np.float32)
    for group in range(first * per_row, stop, WIDTH):
        for k in range(WIDTH):
            starts[k] = min(group + k, stop - 1) * 128
        size = everywhere(0)
        for at in range(0, 128, WIDTH):
            load_turned(rows, starts, at, tile, 0)
            for j in range(WIDTH):
                size = size + abs(load(tile, j * WIDTH))
        store(scales, 0, size / 128)
        for b in range(group, min(group + WIDTH, stop)):
            store_half(out, b * 18, scales[b - group])
            for j in range(8):
                bits = true_lanes(load(rows, b * 128 + 16 * j) >= 0)
                out[b * 18 + 2 + 2 * j] = bits & np.uint32(255)
                out[b * 18 + 3 + 2 * j] = bits >> np.uint32(8)
