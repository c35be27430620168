"""Q5_K, compiled."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from ..q5_k import TRIALS
from ._lanes import load, store, to_float, to_int
from ._tile_k import Q, new_tile, spread
from ._words import load_half
from .q4_k import encode_pairs, encode_weighted_pairs, load_pair, round_pairs

SIZE = 176
D, DMIN = np.intp(0), np.intp(2)
TOP = np.float32(31)


@kernel
def decode(raw, out, first, last):
    for b in range(first, last):
        d, dmin = load_half(raw[b], D), load_half(raw[b], DMIN)
        for j in range(8):
            scale, minimum = load_pair(raw[b], j)
            scale, low = d * np.float32(scale), dmin * np.float32(minimum)
            for i in range(0, 32, 16):
                packed = load(raw, b * SIZE + 48 + j // 2 * 32 + i)
                high = load(raw, b * SIZE + 16 + i) >> j & 1
                q = to_float(packed >> j % 2 * 4 & 15 | high << 4)
                store(out, b * 256 + j * 32 + i, scale * q - low)


@kernel
def encode(rows, importance, out, first, last):
    x, blocks = rows.reshape(-1), out.reshape(-1, SIZE)
    per_row = rows.shape[1] // 256
    tile = new_tile()
    for start in range(first * per_row, last * per_row, 16):
        stop = min(start + 16, last * per_row)
        if len(importance):
            spread(x, importance, rows.shape[1], start, stop, np.float32(2), tile)
            encode_weighted_pairs(x, blocks, start, stop, TOP, np.intp(63), tile)
        else:
            encode_pairs(x, blocks, start, stop, TOP, TRIALS, tile)
        for b in range(start, stop):
            round_pairs(x, b, blocks[b], TOP, (b - start) * 8, tile)
            for i in range(0, 32, 16):
                fifth = to_int(load(tile, Q + i)) >> 4
                for j in range(1, 8):
                    fifth = fifth | to_int(load(tile, Q + j * 32 + i)) >> 4 << j
                store(blocks, b * SIZE + 16 + i, fifth)
            for j in range(0, 128, 16):
                at = j // 32 * 64 + j % 32
                low, high = to_int(load(tile, Q + at)), to_int(load(tile, Q + at + 32))
                store(blocks, b * SIZE + 48 + j, low & 15 | high << 4)
