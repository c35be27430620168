"""Q2_K, compiled."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from ..q2_k import TRIALS, WEIGHTED_TRIALS
from ._lanes import load, store, to_float, to_int
from ._search_k import WEIGHTS, X, inner
from ._tile_k import (
    BLOCK_SCALE,
    LAST,
    LOWEST,
    MAGNITUDES,
    SCALE,
    STORED,
    Q,
    fit_groups,
    fit_scales,
    fit_weighted,
    new_tile,
    round_affine,
    spread,
    store_scale,
    turn,
)
from ._words import load_half, nearest_int, store_half

SIZE = 84
GROUP = np.intp(16)
D, DMIN = np.intp(80), np.intp(82)
TOP = np.float32(3)


@kernel
def decode(raw, out, first, last):
    for b in range(first, last):
        d, dmin = load_half(raw[b], D), load_half(raw[b], DMIN)
        for j in range(16):
            scale = d * np.float32(raw[b, j] & 15)
            low = dmin * np.float32(raw[b, j] >> 4)
            packed = load(raw, b * SIZE + 16 + j // 8 * 32 + j % 2 * 16)
            q = to_float(packed >> j % 8 // 2 * 2 & 3)
            store(out, b * 256 + j * 16, scale * q - low)


@kernel
def encode(rows, importance, out, first, last):
    x, blocks = rows.reshape(-1), out.reshape(-1, SIZE)
    per_row = rows.shape[1] // 256
    tile = new_tile()
    for start in range(first * per_row, last * per_row, 16):
        stop = min(start + 16, last * per_row)
        if len(importance):
            spread(x, importance, rows.shape[1], start, stop, np.float32(1), tile)
            _encode_weighted_scales(x, blocks, start, stop, tile)
        else:
            _encode_scales(x, blocks, start, stop, tile)
        for b in range(start, stop):
            d, dmin = load_half(blocks[b], D), load_half(blocks[b], DMIN)
            for j in range(16):
                scale = d * np.float32(blocks[b, j] & 15)
                low = dmin * np.float32(blocks[b, j] >> 4)
                group = (b - start) * 16 + j
                round_affine(x, b * 256 + j * 16, GROUP, scale, low, TOP, tile, group)
            store_quarters(blocks, b * SIZE + 16, tile)


@inner
def _encode_scales(x, blocks, start, stop, tile):
    """Search and store scales: the largest scale and the largest minimum of a block get 15."""
    most = np.float32(15)
    for b in range(start, stop):
        turn(x, b * 256, GROUP, LAST, tile, X)
        for i in range(0, 256, 16):
            store(tile, WEIGHTS + i, abs(load(tile, X + i)))
        fit_groups(tile, (b - start) * 16, GROUP, TOP, TRIALS, MAGNITUDES)
    for b in range(start, stop):
        group = (b - start) * 16
        scale_factor = store_scale(blocks[b], D, tile, SCALE + group, GROUP, most)
        minimum_factor = store_scale(blocks[b], DMIN, tile, LOWEST + group, GROUP, most)
        for j in range(16):
            scale = nearest_int(scale_factor * tile[SCALE + group + j])
            minimum = nearest_int(minimum_factor * tile[LOWEST + group + j])
            blocks[b, j] = np.uint8(scale | minimum << 4)


@inner
def _encode_weighted_scales(x, blocks, start, stop, tile):
    """Search and store scales, which are fitted again for the block."""
    fit_weighted(x, start, stop, GROUP, TOP, WEIGHTED_TRIALS, tile)
    fit_scales(tile, GROUP, np.float32(15))
    for b in range(stop - start):
        block = blocks[start + b]
        store_half(block, D, tile[BLOCK_SCALE + b])
        store_half(block, DMIN, tile[BLOCK_SCALE + 16 + b])
        for j in range(16):
            scale = np.uint8(tile[STORED + 16 * b + j])
            block[j] = scale | np.uint8(tile[STORED + 256 + 16 * b + j]) << 4


@inner
def store_quarters(blocks, at, tile):
    """Pack the low 2 bits of the 256 levels at Q, as Q3_K does too."""
    for half in range(2):
        for i in range(0, 32, 16):
            packed = to_int(load(tile, Q + half * 128 + i)) & 3
            for j in range(1, 4):
                q = to_int(load(tile, Q + half * 128 + j * 32 + i))
                packed = packed | (q & 3) << 2 * j
            store(blocks, at + half * 32 + i, packed)
