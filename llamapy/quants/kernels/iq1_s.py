"""IQ1_S, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel
from .._grids import IQ1 as BOOK
from ..search_grid import refuse_overflow
from ._grid_tables import sizes, tables
from ._lanes import WIDTH, counting, everywhere, load, store, true_lanes, where
from ._search_grid import LARGEST, largest_of, scale_step, settle, weigh
from ._search_split import largest_size, rank_values, running_sums, set_levels, settle_points
from ._words import load_half, store_half

VALUES = (-1, 0, 1)


def decode(raw, out, first, last):
    _decode(raw, out, first, last, sizes(BOOK, VALUES))


@kernel
def _decode(raw, out, first, last, values):
    for b in range(first, last):
        block = raw[b]
        d = load_half(block, 0)
        for s in range(8):
            qh = np.uint32(block[34 + 2 * s]) | np.uint32(block[35 + 2 * s]) << np.uint32(8)
            scale = d * np.float32(2 * (qh >> np.uint32(12) & np.uint32(7)) + 1)
            offset = np.float32(-0.125) if qh & np.uint32(0x8000) else np.float32(0.125)
            for g in range(4):
                high = qh >> np.uint32(3 * g) & np.uint32(7)
                point = block[2 + 4 * s + g] | high << np.uint32(8)
                for j in range(8):
                    out[b, s * 32 + g * 8 + j] = scale * (values[point, j] + offset)


def encode(rows, importance, out, first, last):
    per_row = rows.shape[1] // 256
    flat = rows.reshape(-1), importance, out.reshape(-1, 50)
    refuse_overflow(_encode(*flat, first * per_row, last * per_row, tables(BOOK)))


@kernel
def _encode(rows, importance, out, first, last, book):
    x, weight = np.empty(32 * WIDTH, np.float32), np.empty(32 * WIDTH, np.float32)
    wx, sx = np.empty_like(x), np.empty(33 * WIDTH, np.float32)
    sw = np.empty_like(sx)
    scales, lanes = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.int64)
    ranks, levels = np.empty(32 * WIDTH, np.int32), np.empty(32 * WIDTH, np.int32)
    lower, points = np.empty(4 * WIDTH, np.int32), np.empty(4 * WIDTH, np.int32)
    for pair in range(first, last, 2):
        if not weigh(rows, importance, pair, last, 32, 2, 0, lanes, x, weight):
            return False
        for i in range(0, 32 * WIDTH, WIDTH):
            store(wx, i, load(weight, i) * load(x, i))
        rank_values(x, 32, ranks)
        running_sums(wx, ranks, 0, 32, 32, sx)
        running_sums(weight, ranks, 0, 32, 32, sw)
        scale, one, two, below = _best_split(sx, sw)
        live = true_lanes((largest_size(x, 32) >= 1e-12) & (one >= 0))
        negative = scale < 0
        below = where(negative, 1 - below, below)
        scale = where(negative, -scale, scale)
        for g in range(4):
            store(lower, g * WIDTH, below)
        set_levels(ranks, 32, one, two, negative, levels)
        scale = settle_points(book, x, weight, scale, live, 4, lower, levels, points)
        settle(scale, live, scales)
        for b in range(pair, min(pair + 2, last)):
            lane = (b - pair) * 8
            largest = largest_of(scales, lane, 8)
            d = largest / np.float32(15)
            inverse = np.float32(1) / d
            block = out[b]
            store_half(block, 0, d * np.float32(1.125))
            for s in range(8):
                k = lane + s
                high = 0
                for g in range(4):
                    point = points[g * WIDTH + k] if (live >> k) & 1 else 0
                    block[2 + 4 * s + g] = point & 255
                    high |= point >> 8 << (3 * g)
                if largest > 0:
                    high |= scale_step(scales[k], inverse, 7) << 12
                    high |= (lower[k] if (live >> k) & 1 else 0) << 15
                block[34 + 2 * s] = high & 255
                block[35 + 2 * s] = high >> 8
    return True


@numba.njit(nogil=True)
def _best_split(sx, sw):
    """The best scale, its two cuts, and whether its offset is negative."""
    all_x, all_w = load(sx, 32 * WIDTH), load(sw, 32 * WIDTH)
    score, scale = everywhere(-LARGEST), everywhere(np.float32(0))
    one = counting() * 0 - 1
    two = one
    below = one
    for first in range(33):
        x0, w0 = load(sx, first * WIDTH), load(sw, first * WIDTH)
        for second in range(first, 33):
            x1, w1 = load(sx, second * WIDTH), load(sw, second * WIDTH)
            x2, w2 = all_x - x1, all_w - w1
            x1, w1 = x1 - x0, w1 - w0
            for kind in range(2):
                q0 = np.float32(-0.875 - kind * 0.25)
                q1 = np.float32(0.125 - kind * 0.25)
                q2 = np.float32(1.125 - kind * 0.25)
                xq = x0 * q0 + x1 * q1 + x2 * q2
                qq = w0 * q0 * q0 + w1 * q1 * q1 + w2 * q2 * q2
                better = (qq > 0) & (xq * xq > score * qq)
                if true_lanes(better):
                    scale = where(better, xq / qq, scale)
                    score = where(better, scale * xq, score)
                    one = where(better, first, one)
                    two = where(better, second, two)
                    below = where(better, kind, below)
    return scale, one, two, below
