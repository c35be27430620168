"""Q6_K, compiled."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from ..search_k import SMALLEST
from ._lanes import load, store, to_float, to_int
from ._search_k import WEIGHTS, X, fit_signed, inner
from ._tile_k import FACTOR, LAST, SCALE, Q, farthest_scale, new_tile, round_signed, turn
from ._words import load_half, nearest_int, store_half

SIZE = 210
GROUP = np.intp(16)
D = np.intp(208)
HALF = np.float32(32)


@kernel
def decode(raw, out, first, last):
    for b in range(first, last):
        d = load_half(raw[b], D)
        for j in range(16):
            scale = d * np.float32(np.int8(raw[b, 192 + j]))
            half, quarter, i = j // 8, j % 8 // 2, j % 2 * 16
            packed = load(raw, b * SIZE + half * 64 + quarter % 2 * 32 + i)
            low = packed >> quarter // 2 * 4 & 15
            high = load(raw, b * SIZE + 128 + half * 32 + i) >> quarter * 2 & 3
            store(out, b * 256 + j * 16, scale * (to_float(low | high << 4) - HALF))


@kernel
def encode(rows, importance, out, first, last):
    x, blocks = rows.reshape(-1), out.reshape(-1, SIZE)
    n_columns = rows.shape[1]
    tile = new_tile()
    for b in range(first * (n_columns // 256), last * (n_columns // 256)):
        block = blocks[b]
        turn(x, b * 256, GROUP, LAST, tile, X)
        if len(importance):
            turn(importance, b * 256 % n_columns, GROUP, LAST, tile, WEIGHTS)
        else:
            for i in range(0, 256, 16):
                value = load(tile, X + i)
                store(tile, WEIGHTS + i, value * value)
        scale, factor = fit_signed(tile, GROUP, HALF)
        store(tile, SCALE, scale)
        store(tile, FACTOR, factor)
        most = farthest_scale(tile)
        if abs(most) < SMALLEST:
            block[:] = 0
            continue
        _store_scales(block, most, tile)
        d = load_half(block, D)
        for j in range(16):
            scaled = d * np.float32(np.int8(block[192 + j]))
            round_signed(x, b * 256 + j * 16, scaled, HALF, tile, j)
        _store_levels(blocks, b * SIZE, tile)


@inner
def _store_scales(block, most, tile):
    """The scale farthest from zero gets -128."""
    factor = np.float32(-128) / most
    store_half(block, D, np.float32(1) / factor)
    for j in range(16):
        block[192 + j] = np.uint8(min(127, nearest_int(factor * tile[SCALE + j])))


@inner
def _store_levels(blocks, at, tile):
    for half in range(2):
        for i in range(0, 32, 16):
            q = half * 128 + i
            a, b = to_int(load(tile, Q + q)), to_int(load(tile, Q + q + 32))
            c, d = to_int(load(tile, Q + q + 64)), to_int(load(tile, Q + q + 96))
            store(blocks, at + half * 64 + i, a & 15 | c << 4)
            store(blocks, at + half * 64 + 32 + i, b & 15 | d << 4)
            highs = a >> 4 | b >> 4 << 2 | c >> 4 << 4 | d >> 4 << 6
            store(blocks, at + 128 + half * 32 + i, highs)
