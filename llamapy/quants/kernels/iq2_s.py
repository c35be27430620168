"""IQ2_S, compiled."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from .._grids import IQ2_S as BOOK
from ..iq2_s import VALUES
from ..search_grid import refuse_overflow
from ._grid_tables import all_factors, sizes, tables
from ._lanes import WIDTH, true_lanes, where
from ._search_grid import (
    MOVED,
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


def decode(raw, out, first, last):
    _decode(raw, out, first, last, sizes(BOOK, tuple(VALUES)), all_factors())


@kernel
def _decode(raw, out, first, last, values, factors):
    for b in range(first, last):
        block = raw[b]
        d = load_half(block, 0)
        for g in range(32):
            high = block[66 + g // 4] >> (g % 4 * 2) & 3
            point = block[2 + g] | np.uint32(high) << np.uint32(8)
            step = block[74 + g // 4] >> (g // 2 % 2 * 4) & 15
            scale = d * (np.float32(0.5) + np.float32(step)) * np.float32(0.25)
            for j in range(8):
                out[b, g * 8 + j] = scale * values[point, j] * factors[block[34 + g], j]


def encode(rows, importance, out, first, last):
    per_row = rows.shape[1] // 256
    flat = rows.reshape(-1), importance, out.reshape(-1, 82)
    refuse_overflow(_encode(*flat, first * per_row, last * per_row, tables(BOOK)))


@kernel
def _encode(rows, importance, out, first, last, book):
    x, weight = np.empty(16 * WIDTH, np.float32), np.empty(16 * WIDTH, np.float32)
    scales, lanes = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.int64)
    points, signs = np.empty(2 * WIDTH, np.int32), np.empty(2 * WIDTH, np.int32)
    for b in range(first, last):
        if not weigh(rows, importance, b, last, 16, 2, 0.25, lanes, x, weight):
            return False
        fold_signs(x, weight, 16, False, signs)
        reach = largest_value(x, 16)
        live = true_lanes(reach >= 1e-8)
        reach = where(reach >= 1e-8, reach, 1.0)
        scale = search_scale(book, x, weight, reach, reach / 5, live, 8, 16, 9, 0.1, MOVED, points)
        settle(flip_negative(scale, signs, 2, 255), live, scales)
        largest = largest_of(scales, 0, 16)
        block = out[b]
        block[:] = 0
        for k in range(WIDTH):
            if not (live >> k) & 1:
                continue
            for g in range(2):
                point = points[g * WIDTH + k]
                at = 2 * k + g
                block[2 + at] = point & 255
                block[34 + at] = signs[g * WIDTH + k]
                block[66 + at // 4] |= point >> 8 << (at % 4 * 2)
        if largest == 0:
            continue
        d = largest / np.float32(31)
        store_half(block, 0, d * np.float32(0.9875))
        inverse = np.float32(1) / d
        for k in range(WIDTH):
            block[74 + k // 2] |= scale_step(scales[k], inverse, 15) << (k % 2 * 4)
    return True
