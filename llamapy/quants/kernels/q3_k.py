"""Q3_K, compiled."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from ._lanes import load, store, to_float, to_int
from ._search_k import (
    LEVELS,
    WEIGHTS,
    X,
    fit_signed,
    fit_signed_by_descent,
    inner,
    signed_levels,
)
from ._tile_k import (
    BLOCK_SCALE,
    FACTOR,
    LAST,
    SCALE,
    SPREAD,
    STORED,
    TOTAL,
    Q,
    farthest_scale,
    new_tile,
    round_signed,
    spread,
    total_of_weights,
    turn,
)
from ._words import load_half, nearest_int, store_half
from .q2_k import store_quarters

SIZE = 110
GROUP = np.intp(16)
D = np.intp(108)
HALF = np.float32(4)


@kernel
def decode(raw, out, first, last):
    for b in range(first, last):
        d = load_half(raw[b], D)
        for j in range(16):
            scale = d * np.float32(_load_scale(raw[b], j))
            low = load(raw, b * SIZE + 32 + j // 8 * 32 + j % 2 * 16) >> j % 8 // 2 * 2 & 3
            high = load(raw, b * SIZE + j % 2 * 16) >> j // 2 & 1
            store(out, b * 256 + j * 16, scale * (to_float(low | high << 2) - HALF))


@kernel
def encode(rows, importance, out, first, last):
    x, blocks = rows.reshape(-1), out.reshape(-1, SIZE)
    per_row = rows.shape[1] // 256
    tile = new_tile()
    for start in range(first * per_row, last * per_row, 16):
        stop = min(start + 16, last * per_row)
        if len(importance):
            spread(x, importance, rows.shape[1], start, stop, np.float32(2), tile)
            _encode_weighted_scales(x, blocks, start, stop, tile)
        for b in range(start, stop):
            if not len(importance):
                _encode_scales(x, b, blocks[b], tile)
            d = load_half(blocks[b], D)
            for j in range(16):
                scale = d * np.float32(_load_scale(blocks[b], j))
                # a search without importance has left its levels at Q
                if scale != 0 or len(importance):
                    group = (b - start) * 16 + j
                    round_signed(x, b * 256 + j * 16, scale, HALF, tile, group)
            store_quarters(blocks, b * SIZE + 32, tile)
            for i in range(0, 32, 16):
                third = to_int(load(tile, Q + i)) >> 2
                for j in range(1, 8):
                    third = third | to_int(load(tile, Q + j * 32 + i)) >> 2 << j
                store(blocks, b * SIZE + i, third)


@inner
def _load_scale(block, j):
    """A group's scale, in [-32, 31], from 12 bytes of a block."""
    low = block[96 + j % 8] >> j // 8 * 4 & 15
    high = block[104 + j % 4] >> j // 4 * 2 & 3
    return np.int32(low | high << 4) - 32


@inner
def _store_scale(block, j, scale):
    """Pack a group's scale, in [0, 63]; groups come in order."""
    if j < 8:
        block[96 + j] = scale & 15
    else:
        block[88 + j] |= (scale & 15) << 4
    if j < 4:
        block[104 + j] = scale >> 4
    else:
        block[104 + j % 4] |= scale >> 4 << j // 4 * 2


@inner
def _encode_scales(x, b, block, tile):
    """Search and store scales; the one farthest from zero gets -32. A block of zeros stores zeros.

    The levels of the search go to Q.
    """
    turn(x, b * 256, GROUP, LAST, tile, X)
    store(tile, SCALE, fit_signed_by_descent(tile, GROUP, HALF))
    turn(tile, LEVELS, GROUP, LAST, tile, Q)
    most = farthest_scale(tile)
    factor = np.float32(-32) / most if most != 0 else np.float32(0)
    store_half(block, D, np.float32(1) / factor if most != 0 else np.float32(0))
    low, high = np.int8(-32), np.int8(31)
    for j in range(16):
        scale = max(low, min(high, np.int8(nearest_int(factor * tile[SCALE + j]))))
        _store_scale(block, j, scale + 32 if most != 0 else 0)


@inner
def _encode_weighted_scales(x, blocks, start, stop, tile):
    """Search and store scales, which are fitted again, 16 blocks side by side."""
    for b in range(start, stop):
        group = (b - start) * 16
        turn(x, b * 256, GROUP, LAST, tile, X)
        turn(tile, SPREAD + group * 16, GROUP, LAST, tile, WEIGHTS)
        scale, factor = fit_signed(tile, GROUP, HALF)
        store(tile, SCALE + group, scale)
        store(tile, FACTOR + group, factor)
        store(tile, TOTAL + group, total_of_weights(tile, GROUP))
    half = np.float32(32)
    turn(tile, SCALE, GROUP, LAST, tile, X)
    turn(tile, TOTAL, GROUP, LAST, tile, WEIGHTS)
    scale, factor = fit_signed(tile, GROUP, half)
    store(tile, BLOCK_SCALE, scale)
    for i in range(0, 256, 16):
        store(tile, LEVELS + i, signed_levels(load(tile, X + i), factor, half))
    turn(tile, LEVELS, GROUP, LAST, tile, STORED)
    for b in range(stop - start):
        block = blocks[start + b]
        store_half(block, D, tile[BLOCK_SCALE + b])
        for j in range(16):
            _store_scale(block, j, np.uint8(tile[STORED + 16 * b + j]))
