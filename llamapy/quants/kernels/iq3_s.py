"""IQ3_S, compiled."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from .._grids import IQ3_S as BOOK
from ..search_grid import refuse_overflow
from ._grid_tables import all_factors, sizes, tables
from ._lanes import WIDTH, true_lanes, where
from ._search_grid import (
    ALL_IF_MOVED,
    flip_negative,
    fold_signs,
    largest_of,
    largest_value,
    scale_step,
    search_scale,
    settle,
    weigh,
)
from ._words import load_half, store_half

VALUES = (1, 3, 5, 7, 9, 11, 13, 15)


def decode(raw, out, first, last):
    _decode(raw, out, first, last, sizes(BOOK, VALUES), all_factors())


@kernel
def _decode(raw, out, first, last, values, factors):
    for b in range(first, last):
        block = raw[b]
        d = load_half(block, 0)
        for s in range(8):
            step = block[106 + s // 2] >> (s % 2 * 4) & 15
            scale = d * np.float32(2 * step + 1)
            for g in range(8):
                high = np.uint32(block[66 + s]) << np.uint32(8 - g) & np.uint32(256)
                point = block[2 + 8 * s + g] | high
                signs = block[74 + 4 * s + g // 2]
                for j in range(4):
                    size = scale * values[point, j]
                    out[b, s * 32 + g * 4 + j] = size * factors[signs, g % 2 * 4 + j]


def encode(rows, importance, out, first, last):
    per_row = rows.shape[1] // 256
    flat = rows.reshape(-1), importance, out.reshape(-1, 110)
    refuse_overflow(_encode(*flat, first * per_row, last * per_row, tables(BOOK)))


@kernel
def _encode(rows, importance, out, first, last, book):
    x, weight = np.empty(32 * WIDTH, np.float32), np.empty(32 * WIDTH, np.float32)
    scales, lanes = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.int64)
    points, signs = np.empty(8 * WIDTH, np.int32), np.empty(4 * WIDTH, np.int32)
    for pair in range(first, last, 2):
        if not weigh(rows, importance, pair, last, 32, 2, 0, lanes, x, weight):
            return False
        fold_signs(x, weight, 32, False, signs)
        reach = largest_value(x, 32)
        live = true_lanes(reach > 0)
        reach = where(reach > 0, reach, 1.0)
        scale = search_scale(
            book, x, weight, reach, reach / 15, live, 4, 32, 9, 0.2, ALL_IF_MOVED, points
        )
        settle(flip_negative(scale, signs, 4, 255), live, scales)
        for b in range(pair, min(pair + 2, last)):
            lane = (b - pair) * 8
            largest = largest_of(scales, lane, 8)
            block = out[b]
            block[:] = 0
            place = 0
            for s in range(8):
                k = lane + s
                if not (live >> k) & 1:
                    continue  # and its place goes to the next one, as the definition explains
                for g in range(8):
                    point = points[g * WIDTH + k]
                    block[2 + 8 * place + g] = point & 255
                    block[66 + s] |= point >> 8 << g
                for g in range(4):
                    block[74 + 4 * place + g] = signs[g * WIDTH + k]
                place += 1
            if largest == 0:
                continue
            d = largest / np.float32(31)
            store_half(block, 0, d * np.float32(1.033))
            inverse = np.float32(1) / d
            for s in range(8):
                block[106 + s // 2] |= scale_step(scales[lane + s], inverse, 15) << (s % 2 * 4)
    return True
