"""The search of the formats whose levels are -1, 0 and 1 with an offset, compiled.

Sixteen sub-blocks lie side by side, as in `_search_grid`. A sub-block's sorted values are split in
three runs, one for each level, and all places for the two cuts are tried.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.core import types

from ._lanes import WIDTH, counting, everywhere, load, store, to_float, where
from ._search_grid import nearest_of_eight


@numba.njit(nogil=True)
def largest_size(x, size):
    """The largest absolute value of each lane."""
    most = abs(load(x, 0))
    for i in range(1, size):
        v = abs(load(x, i * WIDTH))
        most = where(v > most, v, most)
    return most


@numba.njit(nogil=True)
def rank_values(x, size, ranks):
    """The place of every value among the sorted ones of its lane; equal values stay in order."""
    none = counting() * 0
    for i in range(size):
        store(ranks, i * WIDTH, none)
    for i in range(size):
        v = load(x, i * WIDTH)
        rank = load(ranks, i * WIDTH)
        for j in range(i + 1, size):
            below = load(x, j * WIDTH) < v
            rank = rank + where(below, none + 1, none)
            other = load(ranks, j * WIDTH)
            store(ranks, j * WIDTH, where(below, other, other + 1))
        store(ranks, i * WIDTH, rank)


@numba.njit(nogil=True)
def running_sums(terms, ranks, first, last, size, out):
    """The sums of the first 0, 1, 2 ... sorted terms; those from outside first..last count as 0."""
    out[:] = 0
    for i in range(first, last):
        for k in range(WIDTH):
            place = types.uintp(ranks[i * WIDTH + k] + 1)
            out[place * WIDTH + k] = terms[i * WIDTH + k]
    total = everywhere(np.float32(0))
    for i in range(1, size + 1):
        total = total + load(out, i * WIDTH)
        store(out, i * WIDTH, total)


@numba.njit(nogil=True)
def set_levels(ranks, size, first, second, mirrored, levels):
    """The level 0, 1 or 2 of every value, from the two cuts; the other way round if mirrored."""
    none = counting() * 0
    for i in range(size):
        rank = load(ranks, i * WIDTH)
        level = where(rank >= first, none + 1, none) + where(rank >= second, none + 1, none)
        store(levels, i * WIDTH, where(mirrored, 2 - level, level))


@numba.njit(nogil=True)
def level_value(level, lower):
    """What a level stands for: -1, 0 or 1, with 1/8 more, or less where `lower` is 1."""
    return to_float(level * 8 - lower * 2 - 7) * 0.125


@numba.njit(nogil=True)
def settle_points(book, x, weight, scale, live, n_groups, lower, levels, points):
    """Move groups, levels included, to points of the codebook; where any moved, fit the scale anew.

    `lower` holds for each group and lane whether its offset is negative.
    """
    starts, near, point_of = book
    scales = np.empty(WIDTH, np.float32)
    store(scales, 0, scale)
    cells = np.empty(WIDTH, np.int32)
    moved = np.zeros(WIDTH, np.int32)
    for g in range(n_groups):
        cell = counting() * 0
        power = 1
        for j in range(8):
            at = (g * 8 + j) * WIDTH
            cell = cell + load(levels, at) * power
            power *= 3
        store(cells, 0, cell)
        for k in range(WIDTH):
            c = types.uintp(cells[k])
            start, stop = starts[c], starts[c + 1]
            if start != stop and (live >> k) & 1:
                q = level_value(counting() & 3, lower[g * WIDTH + k]) * scales[k]
                word = nearest_of_eight(near, start, stop, x, weight, g * 8 * WIDTH + k, q)
                moved[k] = 1
                power, c = 1, types.uintp(0)
                for j in range(8):
                    level = (word >> (2 * j)) & 3
                    levels[(g * 8 + j) * WIDTH + k] = level
                    c += types.uintp(level * power)
                    power *= 3
            points[g * WIDTH + k] = point_of[c]
    xq = everywhere(np.float32(0))
    qq = everywhere(np.float32(0))
    for i in range(8 * n_groups):
        at = i * WIDTH
        q = level_value(load(levels, at), load(lower, i // 8 * WIDTH))
        wq = load(weight, at) * q
        xq = xq + wq * load(x, at)
        qq = qq + wq * q
    return where((load(moved, 0) == 1) & (xq > 0) & (qq > 0), xq / qq, scale)
