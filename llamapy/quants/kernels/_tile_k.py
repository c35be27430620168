"""Sixteen blocks of a K format at a time: their groups, and then their scales, lane by lane.

SPREAD holds the blocks' weights. What a search finds for their groups lies in the groups' order at
SCALE, LOWEST (its negative), FACTOR and BASE (what the levels were rounded with) and TOTAL (of the
weights). What blocks store lies at BLOCK_SCALE, 16 scales and then 16 minima, and at STORED, 16 for
each block. Q has the 256 levels of the block being written, and STARTS is for `turn`.
"""

from __future__ import annotations

import numpy as np

from ._lanes import everywhere, load, load_turned, root, store
from ._search_k import (
    LEVELS,
    WEIGHTS,
    X,
    clamp,
    fit_affine,
    fit_positive,
    inner,
    nearest,
    signed_levels,
)
from ._words import store_half

# scales come in runs of 8 or 16, and runs of 8 are read as 16: hence 272 places for 256 groups
SPREAD = np.intp(1536)
SCALE = SPREAD + 16 * 256
LOWEST = SCALE + 272
FACTOR = LOWEST + 272
BASE = FACTOR + 272
TOTAL = BASE + 272
BLOCK_SCALE = TOTAL + 272
STORED = BLOCK_SCALE + 2 * 16
Q = STORED + 2 * 256
STARTS = Q + 256
SIZE = STARTS + 32

LANES, LAST = np.intp(16), np.intp(15)
SQUARES, MAGNITUDES = np.bool_(False), np.bool_(True)


@inner
def new_tile():
    return np.zeros(SIZE, np.float32)


@inner
def turn(source, start, n, last, tile, to):
    """Lay 16 neighbouring groups of n side by side; beyond group `last`, that one again."""
    starts = tile[STARTS : STARTS + 32].view(np.int64)
    for group in range(16):
        starts[group] = start + min(group, last) * n
    for i in range(0, n, 16):
        load_turned(source, starts, i, tile, to + 16 * i)


@inner
def spread(x, importance, n_columns, start, stop, factor, tile):
    """Importance times the root of each square plus its block's mean square."""
    for b in range(start, stop):
        total = np.float32(0)
        for i in range(b * 256, b * 256 + 256):
            total += x[i] * x[i]
        mean = factor * total / np.float32(256)
        column, to = b * 256 % n_columns, SPREAD + (b - start) * 256
        for i in range(0, 256, 16):
            value = load(x, b * 256 + i)
            weight = load(importance, column + i) * root(mean + value * value)
            store(tile, to + i, weight)


@inner
def total_of_weights(tile, n):
    total = everywhere(0)
    for i in range(0, 16 * n, 16):
        total = total + load(tile, WEIGHTS + i)
    return total


# ---- groups with a scale and a minimum


@inner
def fit_groups(tile, group, n, top, offsets, error):
    """Search the 16 groups that lie in the lanes, adding up SQUARES or MAGNITUDES of errors."""
    scale, low, factor, base = fit_affine(tile, n, top, offsets, error)
    store(tile, SCALE + group, scale)
    store(tile, LOWEST + group, -low)
    store(tile, FACTOR + group, factor)
    store(tile, BASE + group, base)


@inner
def fit_weighted(x, start, stop, n, top, offsets, tile):
    """Search the groups of n of these blocks, with the weights at SPREAD."""
    groups = (stop - start) * (256 // n)
    for group in range(0, groups, 16):
        last = groups - group - 1
        turn(x, start * 256 + group * n, n, last, tile, X)
        turn(tile, SPREAD + group * n, n, last, tile, WEIGHTS)
        fit_groups(tile, group, n, top, offsets, SQUARES)
        store(tile, TOTAL + group, total_of_weights(tile, n))


@inner
def store_scale(block, at, tile, values, n, top):
    """Store the scale under which the largest of n values gets `top`, and give its inverse."""
    most = np.float32(0)
    for j in range(n):
        most = max(most, tile[values + j])
    store_half(block, at, most / top)
    return top / most if most > 0 else np.float32(0)


@inner
def fit_scales(tile, groups, top):
    """Fit the scales and then the minima of 16 blocks side by side, as numbers in [0, top]."""
    turn(tile, TOTAL, groups, LAST, tile, WEIGHTS)
    for part in range(2):
        turn(tile, SCALE + 272 * part, groups, LAST, tile, X)
        store(tile, BLOCK_SCALE + 16 * part, fit_positive(tile, groups, top))
        turn(tile, LEVELS, LANES, LAST, tile, STORED + 256 * part)


@inner
def round_affine(x, at, n, d, low, top, tile, group):
    """The levels of one group under its scale as stored, or without one those of the search."""
    for i in range(0, n, 16):
        value = load(x, at + i)
        if d != 0:
            q = nearest((value + low) / d)
        else:
            q = nearest(tile[FACTOR + group] * (value - tile[BASE + group]))
        store(tile, Q + at % 256 + i, clamp(q, 0, top))


# ---- groups of 16 with a signed scale


@inner
def round_signed(x, at, d, half, tile, group):
    """The levels of one group under its scale as stored, or without one those of the search."""
    value = load(x, at)
    if d != 0:
        q = clamp(nearest(value / d), -half, half - 1) + half
    else:
        q = signed_levels(value, everywhere(tile[FACTOR + group]), half)
    store(tile, Q + at % 256, q)


@inner
def farthest_scale(tile):
    """The first of a block's 16 scales that is farthest from zero, with its sign."""
    found = np.float32(0)
    for j in range(16):
        if abs(tile[SCALE + j]) > abs(found):
            found = tile[SCALE + j]
    return found
