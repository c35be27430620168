"""Q4_K, compiled."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from ..q4_k import TRIALS, WEIGHTED_TRIALS
from ._lanes import everywhere, load, root, store, to_float, to_int
from ._search_k import WEIGHTS, X, inner
from ._tile_k import (
    BLOCK_SCALE,
    LOWEST,
    SCALE,
    SQUARES,
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

SIZE = 144
GROUP, GROUPS = np.intp(32), np.intp(8)
D, DMIN = np.intp(0), np.intp(2)
TOP = np.float32(15)


@kernel
def decode(raw, out, first, last):
    for b in range(first, last):
        d, dmin = load_half(raw[b], D), load_half(raw[b], DMIN)
        for j in range(8):
            scale, minimum = load_pair(raw[b], j)
            scale, low = d * np.float32(scale), dmin * np.float32(minimum)
            for i in range(0, 32, 16):
                packed = load(raw, b * SIZE + 16 + j // 2 * 32 + i)
                q = to_float(packed >> j % 2 * 4 & 15)
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
            encode_weighted_pairs(x, blocks, start, stop, TOP, np.intp(255), tile)
        else:
            encode_pairs(x, blocks, start, stop, TOP, TRIALS, tile)
        for b in range(start, stop):
            round_pairs(x, b, blocks[b], TOP, (b - start) * 8, tile)
            for j in range(0, 128, 16):
                at = j // 32 * 64 + j % 32
                low, high = load(tile, Q + at), load(tile, Q + at + 32)
                store(blocks, b * SIZE + 16 + j, to_int(low + high * 16))


# ---- what Q4_K and Q5_K share


@inner
def load_pair(block, j):
    """Scale and minimum of a group, from 12 bytes of a block."""
    if j < 4:
        return block[4 + j] & 63, block[8 + j] & 63
    packed = block[8 + j]
    return packed & 15 | block[j] >> 6 << 4, packed >> 4 | block[4 + j] >> 6 << 4


@inner
def store_pair(block, j, scale, minimum):
    """Pack a group's scale and minimum; groups come in order."""
    if j < 4:
        block[4 + j], block[8 + j] = scale, minimum
    else:
        block[8 + j] = (scale & 15) | (minimum & 15) << 4
        block[j] |= scale >> 4 << 6
        block[4 + j] |= minimum >> 4 << 6


@inner
def encode_pairs(x, blocks, start, stop, top, offsets, tile):
    """Search and store scales: the largest scale and the largest minimum of a block get 63."""
    groups = (stop - start) * 8
    for group in range(0, groups, 16):
        turn(x, start * 256 + group * 32, GROUP, groups - group - 1, tile, X)
        squares = everywhere(0)
        for i in range(0, 512, 16):
            value = load(tile, X + i)
            squares = squares + value * value
        mean = root(squares / 32)
        for i in range(0, 512, 16):
            store(tile, WEIGHTS + i, mean + abs(load(tile, X + i)))
        fit_groups(tile, group, GROUP, top, offsets, SQUARES)
    for b in range(start, stop):
        _store_pairs(blocks[b], (b - start) * 8, tile)


@inner
def _store_pairs(block, group, tile):
    most = np.float32(63)
    scale_factor = store_scale(block, D, tile, SCALE + group, GROUPS, most)
    minimum_factor = store_scale(block, DMIN, tile, LOWEST + group, GROUPS, most)
    highest = np.uint8(63)
    for j in range(8):
        scale = np.uint8(nearest_int(scale_factor * tile[SCALE + group + j]))
        minimum = np.uint8(nearest_int(minimum_factor * tile[LOWEST + group + j]))
        store_pair(block, j, min(scale, highest), min(minimum, highest))


@inner
def encode_weighted_pairs(x, blocks, start, stop, top, most, tile):
    """Search and store scales, which are fitted again for the block, at most `most`."""
    fit_weighted(x, start, stop, GROUP, top, WEIGHTED_TRIALS, tile)
    fit_scales(tile, GROUPS, np.float32(63))
    for b in range(stop - start):
        block = blocks[start + b]
        store_half(block, D, tile[BLOCK_SCALE + b])
        store_half(block, DMIN, tile[BLOCK_SCALE + 16 + b])
        for j in range(8):
            scale = np.uint8(min(tile[STORED + 16 * b + j], most))
            minimum = np.uint8(min(tile[STORED + 256 + 16 * b + j], most))
            store_pair(block, j, scale, minimum)


@inner
def round_pairs(x, b, block, top, group, tile):
    """The levels of a block under its scales as stored, at Q."""
    d, dmin = load_half(block, D), load_half(block, DMIN)
    for j in range(8):
        scale, minimum = load_pair(block, j)
        scale, low = d * np.float32(scale), dmin * np.float32(minimum)
        round_affine(x, b * 256 + j * 32, GROUP, scale, low, top, tile, group + j)
