"""IQ1_M, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import float_to_half, half_to_float, kernel
from .._grids import IQ1 as BOOK
from ..search_grid import refuse_overflow
from ._grid_tables import sizes, tables
from ._lanes import WIDTH, counting, everywhere, load, store, to_float, true_lanes, where
from ._search_grid import LARGEST, largest_of, scale_step, settle, weigh
from ._search_split import (
    largest_size,
    level_value,
    rank_values,
    running_sums,
    set_levels,
    settle_points,
)

VALUES = (-1, 0, 1)


def decode(raw, out, first, last):
    _decode(raw, out, first, last, sizes(BOOK, VALUES))


@kernel
def _decode(raw, out, first, last, values):
    for b in range(first, last):
        block = raw[b]
        half = np.uint16(0)
        for k in range(4):
            half |= np.uint16(block[49 + 2 * k] >> 4) << np.uint16(4 * k)
        d = half_to_float(half)
        for s in range(16):
            at = 48 + s // 4 * 2
            word = np.uint32(block[at]) | np.uint32(block[at + 1]) << np.uint32(8)
            step = word >> np.uint32(s % 4 * 3) & np.uint32(7)
            scale = d * np.float32(2 * step + 1)
            for g in range(2):
                high = np.uint32(block[32 + s]) >> np.uint32(4 * g)
                offset = np.float32(-0.125) if high & np.uint32(8) else np.float32(0.125)
                point = block[2 * s + g] | (high & np.uint32(7)) << np.uint32(8)
                for j in range(8):
                    out[b, s * 16 + g * 8 + j] = scale * (values[point, j] + offset)


def encode(rows, importance, out, first, last):
    per_row = rows.shape[1] // 256
    flat = rows.reshape(-1), importance, out.reshape(-1, 56)
    refuse_overflow(_encode(*flat, first * per_row, last * per_row, tables(BOOK)))


@kernel
def _encode(rows, importance, out, first, last, book):
    x, weight = np.empty(16 * WIDTH, np.float32), np.empty(16 * WIDTH, np.float32)
    wx = np.empty_like(x)
    sx, sw = np.empty((2, 17 * WIDTH), np.float32), np.empty((2, 17 * WIDTH), np.float32)
    scales, lanes = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.int64)
    steps = np.empty(WIDTH, np.int32)
    ranks, levels = np.empty(16 * WIDTH, np.int32), np.empty(16 * WIDTH, np.int32)
    lower, points = np.empty(2 * WIDTH, np.int32), np.empty(2 * WIDTH, np.int32)
    none = counting() * 0
    for b in range(first, last):
        if not weigh(rows, importance, b, last, 16, 2, 0, lanes, x, weight):
            return False
        for i in range(0, 16 * WIDTH, WIDTH):
            store(wx, i, load(weight, i) * load(x, i))
        rank_values(x, 16, ranks)
        for half in range(2):
            running_sums(wx, ranks, half * 8, half * 8 + 8, 16, sx[half])
            running_sums(weight, ranks, half * 8, half * 8 + 8, 16, sw[half])
        scale, one, two, below = _best_split(sx[0], sx[1], sw[0], sw[1])
        full = (largest_size(x, 16) >= 1e-7) & (one >= 0)
        live = true_lanes(full)
        negative = scale < 0
        below = where(negative, 3 - below, below)
        scale = where(negative, -scale, scale)
        store(lower, 0, where(full, below >> 1, none))
        store(lower, WIDTH, where(full, below & 1, none))
        set_levels(ranks, 16, one, two, negative, levels)
        scale = settle_points(book, x, weight, scale, live, 2, lower, levels, points)
        settle(scale, live, scales)
        largest = largest_of(scales, 0, 16)
        d = largest / np.float32(15)
        inverse = np.float32(1) / d
        for k in range(WIDTH):
            steps[k] = scale_step(scales[k], inverse, 7)
        d = _fit_block(x, weight, full, steps, lower, levels, d)
        bits = float_to_half(d * np.float32(1.1125))
        block = out[b]
        block[:] = 0
        for k in range(WIDTH):
            for g in range(2):
                point = points[g * WIDTH + k] if (live >> k) & 1 else 0
                high = point >> 8
                if largest > 0:
                    high |= lower[g * WIDTH + k] << 3
                block[2 * k + g] = point & 255
                block[32 + k] |= high << (4 * g)
        if largest == 0:
            continue
        for k in range(4):
            word = (bits >> (4 * k) & 15) << 12
            for j in range(4):
                word |= steps[4 * k + j] << (3 * j)
            block[48 + 2 * k] = word & 255
            block[49 + 2 * k] = word >> 8
    return True


@numba.njit(nogil=True)
def _fit_block(x, weight, full, steps, lower, levels, d):
    """With everything else chosen, the sums over the whole block give its scale."""
    xq, qq = np.empty_like(x), np.empty_like(x)
    odd = to_float(load(steps, 0) * 2 + 1)
    for i in range(16):
        at = i * WIDTH
        level = where(full, load(levels, at), 0)
        q = level_value(level, load(lower, i // 8 * WIDTH)) * odd
        wq = load(weight, at) * q
        store(xq, at, wq * load(x, at))
        store(qq, at, wq * q)
    sum_xq, sum_qq = np.float32(0), np.float32(0)
    for k in range(WIDTH):
        for i in range(16):
            sum_xq += xq[i * WIDTH + k]
            sum_qq += qq[i * WIDTH + k]
    return sum_xq / sum_qq if sum_qq > 0 else d


@numba.njit(nogil=True)
def _best_split(x_one, x_two, w_one, w_two):
    """The best scale, its two cuts, and two bits for the halves whose offset is negative."""
    end = 16 * WIDTH
    score, scale = everywhere(-LARGEST), everywhere(np.float32(0))
    one = counting() * 0 - 1
    two = one
    below = one
    # for each half: what does not depend on the cuts, with the offset above and below
    xa, xb = load(x_one, end) * 1.125, load(x_one, end) * 0.875
    xc, xd = load(x_two, end) * 1.125, load(x_two, end) * 0.875
    wa, wb = load(w_one, end) * 1.125 * 1.125, load(w_one, end) * 0.875 * 0.875
    wc, wd = load(w_two, end) * 1.125 * 1.125, load(w_two, end) * 0.875 * 0.875
    for first in range(17):
        at = first * WIDTH
        x1, x2 = load(x_one, at), load(x_two, at)
        # the squares of neighbouring levels differ by 3/4 and 5/4
        wa1, wb1 = wa + load(w_one, at) * 0.75, wb + load(w_one, at) * 1.25
        wc1, wd1 = wc + load(w_two, at) * 0.75, wd + load(w_two, at) * 1.25
        for second in range(first, 17):
            at = second * WIDTH
            s1, s2 = x1 + load(x_one, at), x2 + load(x_two, at)
            v1, v2 = load(w_one, at), load(w_two, at)
            xq_one = xa - s1, xb - s1
            xq_two = xc - s2, xd - s2
            qq_one = wa1 + v1 * -1.25, wb1 + v1 * -0.75
            qq_two = wc1 + v2 * -1.25, wd1 + v2 * -0.75
            for kind in range(4):
                xq = xq_one[kind >> 1] + xq_two[kind & 1]
                qq = qq_one[kind >> 1] + qq_two[kind & 1]
                better = (qq > 0) & (xq * xq > score * qq)
                if true_lanes(better):
                    scale = where(better, xq / qq, scale)
                    score = where(better, scale * xq, score)
                    one = where(better, first, one)
                    two = where(better, second, two)
                    below = where(better, kind, below)
    return scale, one, two, below
