"""IQ2_XXS, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel
from .._grids import IQ2_XXS as BOOK
from ..iq2_xxs import VALUES
from ..search_grid import refuse_overflow
from ._grid_tables import even_factors, sizes, tables
from ._lanes import WIDTH, everywhere, load, store, to_float, true_lanes, where
from ._search_grid import (
    ALL,
    flip_negative,
    fold_signs,
    largest_of,
    largest_value,
    load_word,
    nearest_int,
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
            packed = load_word(block, 6 + 8 * s)
            scale = d * (np.float32(0.5) + np.float32(packed >> np.uint32(28))) * np.float32(0.25)
            for g in range(4):
                point = block[2 + 8 * s + g]
                signs = packed >> np.uint32(7 * g) & np.uint32(127)
                for j in range(8):
                    out[b, s * 32 + g * 8 + j] = scale * values[point, j] * factors[signs, j]


def encode(rows, importance, out, first, last):
    per_row = rows.shape[1] // 256
    flat = rows.reshape(-1), importance, out.reshape(-1, 66)
    refuse_overflow(_encode(*flat, first * per_row, last * per_row, tables(BOOK)))


@kernel
def _encode(rows, importance, out, first, last, book):
    x, weight = np.empty(32 * WIDTH, np.float32), np.empty(32 * WIDTH, np.float32)
    scales, lanes = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.int64)
    points, signs = np.empty(4 * WIDTH, np.int32), np.empty(4 * WIDTH, np.int32)
    for pair in range(first, last, 2):
        if not weigh(rows, importance, pair, last, 32, 1, 0, lanes, x, weight):
            return False
        fold_signs(x, weight, 32, True, signs)
        start = _positive_scale(x, weight, 32, 4)
        reach = start * 3
        full = (largest_value(x, 32) >= 1e-15) & (reach > 0)
        live = true_lanes(full)
        reach = where(full, reach, 1.0)
        scale = search_scale(book, x, weight, reach, start, live, 8, 32, 6, 0.1, ALL, points)
        settle(flip_negative(scale, signs, 4, 127), live, scales)
        for b in range(pair, min(pair + 2, last)):
            lane = (b - pair) * 8
            largest = largest_of(scales, lane, 8)
            block = out[b]
            block[:] = 0
            if largest == 0:
                continue
            d = largest / np.float32(31)
            store_half(block, 0, d)
            inverse = np.float32(1) / d
            for s in range(8):
                k = lane + s
                packed = np.uint32(scale_step(scales[k], inverse, 15)) << np.uint32(28)
                if (live >> k) & 1:
                    for g in range(4):
                        block[2 + 8 * s + g] = points[g * WIDTH + k]
                        packed |= np.uint32(signs[g * WIDTH + k]) << np.uint32(7 * g)
                store_word(block, 6 + 8 * s, packed)
    return True


@numba.njit(nogil=True)
def _positive_scale(x, weight, size, top):
    """The scale of levels 0..top with the least weighted error, as the definition finds it."""
    reach = largest_value(x, size)
    inverse = everywhere(np.float32(top)) / reach
    smallest = everywhere(np.float32(0))
    best = inverse
    for change in range(-5, 5):
        # first the plain scale, whose levels may be below zero and are read back as bytes
        tried = inverse
        if change > -5:
            tried = everywhere(np.float32(0.1) * np.float32(change) + np.float32(top)) / reach
        scale = everywhere(np.float32(1)) / tried
        error = everywhere(np.float32(0))
        for i in range(size):
            v = load(x, i * WIDTH)
            level = nearest_int(tried * v)
            level = level & 255 if change == -5 else where(level > top, top, level)
            off = v - scale * to_float(level)
            error = error + load(weight, i * WIDTH) * off * off
        if change == -5:
            smallest = error
        elif change != 0:
            lower = error < smallest
            smallest = where(lower, error, smallest)
            best = where(lower, tried, best)
    levels = np.empty(size * WIDTH, np.int32)
    xl = everywhere(np.float32(0))
    ll = everywhere(np.float32(0))
    for i in range(size):
        v = load(x, i * WIDTH)
        w = load(weight, i * WIDTH)
        level = nearest_int(best * v)
        level = where(level > top, top, level)
        store(levels, i * WIDTH, level & 255)
        q = to_float(level)
        xl = xl + w * v * q
        ll = ll + w * q * q
    for _ in range(5):
        changed = np.uint32(0)
        for i in range(size):
            v = load(x, i * WIDTH)
            w = load(weight, i * WIDTH)
            wx = w * v
            level = load(levels, i * WIDTH)
            q = to_float(level)
            rest_xl = xl - wx * q
            rest_ll = ll - w * q * q
            new = nearest_int(v * rest_ll / rest_xl)
            new = where(new > top, top, new)
            q = to_float(new)
            new_xl = rest_xl + wx * q
            new_ll = rest_ll + w * q * q
            gain = where(new == level, -1.0, new_xl * new_xl * ll)
            better = (rest_xl > 0) & (rest_ll > 0) & (gain > xl * xl * new_ll)
            store(levels, i * WIDTH, where(better, new & 255, level))
            xl = where(better, new_xl, xl)
            ll = where(better, new_ll, ll)
            changed |= true_lanes(better)
        if not changed:
            break
    return where(ll > 0, xl / ll, 0.0)
