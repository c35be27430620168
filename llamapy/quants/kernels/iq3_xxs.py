"""IQ3_XXS, compiled."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from .._grids import IQ3_XXS as BOOK
from ..iq3_xxs import VALUES
from ..search_grid import refuse_overflow
from ._grid_tables import even_factors, sizes, tables
from ._lanes import WIDTH, true_lanes, where
from ._search_grid import (
    MOVED,
    flip_negative,
    fold_signs,
    largest_of,
    largest_value,
    load_word,
    scale_step,
    search_scale,
    settle,
    store_word,
    weigh,
)
from ._words import load_half, store_half


def decode(raw, out, first, last):
    _decode(raw, out, first, last, sizes(BOOK, tuple(VALUES)), even_factors())


@kernel
def _decode(raw, out, first, last, values, factors):
    for b in range(first, last):
        block = raw[b]
        d = load_half(block, 0)
        for s in range(8):
            packed = load_word(block, 66 + 4 * s)
            scale = d * (np.float32(0.5) + np.float32(packed >> np.uint32(28))) * np.float32(0.5)
            for g in range(8):
                point = block[2 + 8 * s + g]
                signs = packed >> np.uint32(g // 2 * 7) & np.uint32(127)
                for j in range(4):
                    size = scale * values[point, j]
                    out[b, s * 32 + g * 4 + j] = size * factors[signs, g % 2 * 4 + j]


def encode(rows, importance, out, first, last):
    per_row = rows.shape[1] // 256
    flat = rows.reshape(-1), importance, out.reshape(-1, 98)
    refuse_overflow(_encode(*flat, first * per_row, last * per_row, tables(BOOK)))


@kernel
def _encode(rows, importance, out, first, last, book):
    x, weight = np.empty(32 * WIDTH, np.float32), np.empty(32 * WIDTH, np.float32)
    scales, lanes = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.int64)
    points, signs = np.empty(8 * WIDTH, np.int32), np.empty(4 * WIDTH, np.int32)
    for pair in range(first, last, 2):
        if not weigh(rows, importance, pair, last, 32, 2, 0, lanes, x, weight):
            return False
        fold_signs(x, weight, 32, True, signs)
        reach = largest_value(x, 32)
        live = true_lanes(reach >= 1e-8)
        reach = where(reach >= 1e-8, reach, 1.0)
        scale = search_scale(
            book, x, weight, reach, reach / 15, live, 4, 32, 15, 0.2, MOVED, points
        )
        settle(flip_negative(scale, signs, 4, 127), live, scales)
        for b in range(pair, min(pair + 2, last)):
            lane = (b - pair) * 8
            largest = largest_of(scales, lane, 8)
            block = out[b]
            block[:] = 0
            if largest == 0:
                continue
            d = largest / np.float32(31)
            store_half(block, 0, d * np.float32(1.0125))
            inverse = np.float32(1) / d
            for s in range(8):
                k = lane + s
                packed = np.uint32(scale_step(scales[k], inverse, 15)) << np.uint32(28)
                if (live >> k) & 1:
                    for g in range(8):
                        block[2 + 8 * s + g] = points[g * WIDTH + k]
                    for g in range(4):
                        packed |= np.uint32(signs[g * WIDTH + k]) << np.uint32(7 * g)
                store_word(block, 66 + 4 * s, packed)
    return True
