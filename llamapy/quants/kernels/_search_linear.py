"""The searches for scales and offsets, compiled: sixteen blocks of 32 at once, one in each lane."""

from __future__ import annotations

import numba
import numpy as np

from ._lanes import (
    WIDTH,
    bits_of,
    everywhere,
    load,
    load_turned,
    root,
    store,
    to_float,
    to_int,
    where,
)

BLOCK = 32
TILE = BLOCK * WIDTH
TINY = np.float32(1e-15)
MAGIC = np.float32(12582912)  # its last mantissa bit is worth 1: adding it rounds to even


@numba.njit(nogil=True)
def row_means(rows, first, last):
    """The mean square of each row, summed from left to right; sixteen rows at once."""
    n_cols = rows.shape[1]
    starts, tile = np.empty(WIDTH, np.int64), np.empty(WIDTH * WIDTH, np.float32)
    means = np.empty(last - first + WIDTH, np.float32)
    for r in range(first, last, WIDTH):
        for k in range(WIDTH):
            starts[k] = min(r + k, last - 1) * n_cols
        total = everywhere(0)
        for at in range(0, n_cols, WIDTH):
            load_turned(rows, starts, at, tile, 0)
            for j in range(WIDTH):
                x = load(tile, j * WIDTH)
                total = total + x * x
        store(means, r - first, total / n_cols)
    return means


@numba.njit(nogil=True)
def load_group(rows, importance, means, first, group, stop, x, weights):
    """Bring sixteen blocks from `group` on and their weights into tiles; after `stop`, the last.

    A value counts by its importance, its own size and that of its row, so that zeros count too.
    """
    per_row = rows.shape[1] // BLOCK
    starts, columns = np.empty(WIDTH, np.int64), np.empty(WIDTH, np.int64)
    mean = np.empty(WIDTH, np.float32)
    for k in range(WIDTH):
        block = min(group + k, stop - 1)
        starts[k], columns[k] = block * BLOCK, block % per_row * BLOCK
        mean[k] = means[block // per_row - first]
    for at in range(0, BLOCK, WIDTH):
        load_turned(rows, starts, at, x, at * WIDTH)
        load_turned(importance, columns, at, weights, at * WIDTH)
    row_mean = load(mean, 0)
    for at in range(0, TILE, WIDTH):
        v = load(x, at)
        store(weights, at, load(weights, at) * root(row_mean + v * v))


@numba.njit(nogil=True)
def round_even(x):
    """The nearest whole number as a float, halves to even, where |x| <= 4194303."""
    return (x + MAGIC) - MAGIC


@numba.njit(nogil=True)
def nearest_int(x):
    """The nearest whole number, halves to even, and ggml's very own nonsense for large ones."""
    return (bits_of(x + MAGIC) & 0x007FFFFF) - 0x00400000


@numba.njit(nogil=True)
def clip(x, low, high):
    x = where(x > high, high, x)
    return where(x > low, x, low)


@numba.njit(nogil=True)
def largest_of(x):
    """The first value that is largest in size, with its sign, and its size."""
    largest, size = everywhere(0), everywhere(0)
    for at in range(0, len(x), WIDTH):
        v = load(x, at)
        bigger = abs(v) > size
        largest, size = where(bigger, v, largest), where(bigger, abs(v), size)
    return largest, size


@numba.njit(nogil=True)
def search_scale(x, weights, weighted, reach):
    """x ~ scale * (q - reach): the scale, and the inverse that rounds x to q (0 for a zero block).

    `weighted` is scratch space of the tile's size.
    """
    largest, size = largest_of(x)
    for at in range(0, len(x), WIDTH):
        store(weighted, at, load(weights, at) * load(x, at))
    scale, best, best_inverse = everywhere(0), everywhere(0), everywhere(0)
    for attempt in range(19):
        # the obvious scale comes first
        step = 0 if attempt == 0 else (attempt - 10 if attempt < 10 else attempt - 9)
        levels = np.float32(reach) + np.float32(0.1) * np.float32(step)
        inverse = everywhere(-levels) / largest
        xq, qq = everywhere(0), everywhere(0)
        for at in range(0, len(x), WIDTH):
            q = clip(round_even(inverse * load(x, at)), -reach, reach - 1)
            xq = xq + load(weighted, at) * q
            qq = qq + load(weights, at) * q * q
        if attempt == 0:
            scale, best_inverse = where(qq > 0, xq / qq, 0), inverse
            best = scale * xq
        else:
            better = (qq > 0) & (xq * xq > best * qq)
            scale = where(better, xq / qq, scale)
            best = where(better, scale * xq, best)
            best_inverse = where(better, inverse, best_inverse)
    return where(size < TINY, 0, scale), where(size < TINY, 0, best_inverse)


@numba.njit(nogil=True)
def search_scale_offset(x, weights, q_tile, top):
    """x ~ scale * q + offset: these two, and the inverse and base from which q was rounded.

    `q_tile` is scratch space of the tile's size.
    """
    offset = high = load(x, 0)
    sum_w = load(weights, 0)
    sum_x = sum_w * offset
    for at in range(WIDTH, len(x), WIDTH):
        v, w = load(x, at), load(weights, at)
        offset, high = where(v < offset, v, offset), where(v > high, v, high)
        sum_w, sum_x = sum_w + w, sum_x + w * v
    offset = where(offset > 0, 0, offset)
    uneven = high > offset

    best_base, best_inverse = offset, everywhere(top) / (high - offset)
    scale, least = 1 / best_inverse, everywhere(0)
    for at in range(0, len(x), WIDTH):
        v = load(x, at)
        q = to_float(clip(nearest_int(best_inverse * (v - offset)), 0, top))
        differ = scale * q + offset - v
        least = least + load(weights, at) * (differ * differ)

    for step in range(37):
        levels = np.float32(-0.9) + np.float32(0.05) * np.float32(step) + np.float32(top)
        inverse = everywhere(levels) / (high - offset)
        sum_q, sum_qq, sum_qx = everywhere(0), everywhere(0), everywhere(0)
        for at in range(0, len(x), WIDTH):
            v, w = load(x, at), load(weights, at)
            q = to_float(clip(nearest_int(inverse * (v - offset)), 0, top))
            store(q_tile, at, q)
            weighted = w * q
            sum_q = sum_q + weighted
            sum_qq = sum_qq + weighted * q
            sum_qx = sum_qx + weighted * v
        determinant = sum_w * sum_qq - sum_q * sum_q
        new_scale = (sum_w * sum_qx - sum_x * sum_q) / determinant
        new_offset = (sum_qq * sum_x - sum_q * sum_qx) / determinant
        above_zero = new_offset > 0
        new_scale = where(above_zero, sum_qx / sum_qq, new_scale)
        new_offset = where(above_zero, 0, new_offset)
        error = everywhere(0)
        for at in range(0, len(x), WIDTH):
            differ = new_scale * load(q_tile, at) + new_offset - load(x, at)
            error = error + load(weights, at) * (differ * differ)
        better = (determinant > 0) & (error < least) & uneven
        best_inverse = where(better, inverse, best_inverse)
        best_base = where(better, offset, best_base)
        scale, offset = where(better, new_scale, scale), where(better, new_offset, offset)
        least = where(better, error, least)
    return where(uneven, scale, 0), offset, best_inverse, best_base


# ---- what a format's kernel calls


@numba.njit(nogil=True)
def fit_scales(rows, importance, means, first, group, stop, reach, tiles, found):
    """Sixteen blocks' scales and inverses, into the rows of `found`."""
    load_group(rows, importance, means, first, group, stop, tiles[0], tiles[1])
    scale, inverse = search_scale(tiles[0], tiles[1], tiles[2], reach)
    store(found, 0, scale)
    store(found, WIDTH, inverse)


@numba.njit(nogil=True)
def to_scale(x, inverse, reach):
    """The numbers 0 to 2 * reach - 1 of sixteen values; a zero block has only zeros."""
    if inverse == 0:
        return to_int(everywhere(0))
    return clip(nearest_int(x * inverse), -reach, reach - 1) + reach


@numba.njit(nogil=True)
def fit_scale_offsets(rows, importance, means, first, group, stop, top, tiles, found):
    """Sixteen blocks' scales, offsets, inverses and bases, into the rows of `found`."""
    load_group(rows, importance, means, first, group, stop, tiles[0], tiles[1])
    scale, offset, inverse, base = search_scale_offset(tiles[0], tiles[1], tiles[2], top)
    store(found, 0, scale)
    store(found, WIDTH, offset)
    store(found, 2 * WIDTH, inverse)
    store(found, 3 * WIDTH, base)


@numba.njit(nogil=True)
def to_scale_offset(x, inverse, base, top):
    """The numbers 0 to `top` of sixteen values."""
    return clip(nearest_int((x - base) * inverse), 0, top)
