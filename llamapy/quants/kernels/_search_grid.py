"""The searches that the codebook formats share, compiled: sixteen sub-blocks side by side.

Value i of the sub-block in lane k lies at i * 16 + k of a scratch array. Only the search for the
nearest neighbour looks at one lane at a time: there the sixteen are neighbours.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.core import types

from ._lanes import (
    WIDTH,
    bits_of,
    counting,
    everywhere,
    first_bit,
    least,
    load,
    load_pairs,
    load_turned,
    root,
    store,
    to_float,
    true_lanes,
    where,
)
from ._look_up import look_up
from ._words import nearest_int as rounded

MOVED, ALL_IF_MOVED, ALL = 0, 1, 2  # what the second look goes over, see `Again`
LARGEST = np.float32(np.finfo(np.float32).max)


@numba.njit(nogil=True)
def nearest_int(x):
    """The nearest whole number, halves to even, read from a float's last bits as ggml does."""
    return (bits_of(x + 12582912.0) & 0x007FFFFF) - 0x00400000


@numba.njit(nogil=True)
def weigh(rows, importance, block, last, size, spread, plain, at, x, weight):
    """Load sixteen sub-blocks from this block on, and what an error in each value costs.

    Beyond the last block, its sub-blocks are repeated. The answer is whether all costs are finite.
    """
    per_block = 256 // size
    mean = np.empty(WIDTH, np.float32)
    for k in range(0, WIDTH, per_block):
        b = min(block + k // per_block, last - 1)
        total = np.float32(0)
        for i in range(256):
            total += rows[b * 256 + i] * rows[b * 256 + i]
        for j in range(per_block):
            mean[k + j] = np.float32(spread) * total / np.float32(256)
            at[k + j] = b * 256 + j * size
    for half in range(0, size, WIDTH):
        load_turned(rows, at, half, x, half * WIDTH)
    if len(importance):
        for k in range(WIDTH):
            at[k] %= len(importance)
        for half in range(0, size, WIDTH):
            load_turned(importance, at, half, weight, half * WIDTH)
    m = load(mean, 0)
    fits = m <= LARGEST
    for i in range(size):
        v = load(x, i * WIDTH)
        if len(importance):
            w = load(weight, i * WIDTH) * root(m + v * v)
        else:
            w = m * np.float32(plain) + v * v
        store(weight, i * WIDTH, w)
        fits = fits & (w <= LARGEST)
    return true_lanes(fits) == 0xFFFF


@numba.njit(nogil=True)
def fold_signs(x, weight, size, even, signs):
    """Make sizes of the values, and a byte of signs for each 8, as the definition does."""
    none = counting() * 0
    for g in range(size // 8):
        bits = none
        index = none
        smallest = everywhere(np.float32(0))
        for j in range(8):
            at = (g * 8 + j) * WIDTH
            v = load(x, at)
            positive = v >= 0
            bits = bits | where(positive, none, none + (1 << j))
            store(x, at, where(positive, v, -v))
            cost = load(weight, at) * v * v
            if j == 0:
                smallest = cost
            lower = cost < smallest
            smallest = where(lower, cost, smallest)
            index = where(lower, j, index)
        if even:
            odd = bits ^ (bits >> 4)
            odd = odd ^ (odd >> 2)
            odd = (odd ^ (odd >> 1)) & 1
            for j in range(8):
                at = (g * 8 + j) * WIDTH
                v = load(x, at)
                store(x, at, where((index == j) & (odd == 1), -v, v))
            bits = (bits ^ (odd << index)) & 127
        store(signs, g * WIDTH, bits)


@numba.njit(nogil=True)
def largest_value(x, size):
    """The largest value of each lane."""
    most = load(x, 0)
    for i in range(1, size):
        v = load(x, i * WIDTH)
        most = where(v > most, v, most)
    return most


@numba.njit(nogil=True)
def axis_errors(x, weight, at, q):
    """A table of what each level costs on one axis, when the levels stand for `q`."""
    off = q - x[types.uintp(at)]
    return off * weight[types.uintp(at)] * off + 0.0


@numba.njit(nogil=True)
def nearest_of_eight(near, start, stop, x, weight, at, q):
    """The nearest of these neighbours on 8 axes of 3 levels, packed."""
    t0 = axis_errors(x, weight, at, q)
    t1 = axis_errors(x, weight, at + WIDTH, q)
    t2 = axis_errors(x, weight, at + 2 * WIDTH, q)
    t3 = axis_errors(x, weight, at + 3 * WIDTH, q)
    t4 = axis_errors(x, weight, at + 4 * WIDTH, q)
    t5 = axis_errors(x, weight, at + 5 * WIDTH, q)
    t6 = axis_errors(x, weight, at + 6 * WIDTH, q)
    t7 = axis_errors(x, weight, at + 7 * WIDTH, q)
    nearest = everywhere(LARGEST)
    place = counting() * 0
    for c in range(start, stop, WIDTH):
        words = load_pairs(near, c)
        error = look_up(t0, words) + look_up(t1, words >> 2) + look_up(t2, words >> 4)
        error = error + look_up(t3, words >> 6) + look_up(t4, words >> 8) + look_up(t5, words >> 10)
        error = error + look_up(t6, words >> 12) + look_up(t7, words >> 14)
        nearer = error < nearest
        nearest = where(nearer, error, nearest)
        place = where(nearer, c - start, place)
    return near[types.uintp(start) + first_place(nearest, place, stop - start)]


@numba.njit(nogil=True)
def nearest_of_four(near, start, stop, x, weight, at, q):
    """The nearest of these neighbours on 4 axes of 8 levels, packed."""
    t0 = axis_errors(x, weight, at, q)
    t1 = axis_errors(x, weight, at + WIDTH, q)
    t2 = axis_errors(x, weight, at + 2 * WIDTH, q)
    t3 = axis_errors(x, weight, at + 3 * WIDTH, q)
    nearest = everywhere(LARGEST)
    place = counting() * 0
    for c in range(start, stop, WIDTH):
        words = load_pairs(near, c)
        error = look_up(t0, words) + look_up(t1, words >> 3) + look_up(t2, words >> 6)
        error = error + look_up(t3, words >> 9)
        nearer = error < nearest
        nearest = where(nearer, error, nearest)
        place = where(nearer, c - start, place)
    return near[types.uintp(start) + first_place(nearest, place, stop - start)]


@numba.njit(nogil=True)
def first_place(nearest, place, count):
    """Which neighbour is the nearest of all, the first of several."""
    winners = nearest == least(nearest)
    if count == WIDTH:
        return types.uintp(first_bit(true_lanes(winners)))
    return types.uintp(least(where(winners, to_float(place + counting()), np.float32(count - 1))))


@numba.njit(nogil=True)
def snap(book, x, weight, live, inverse, scale, width, n_groups, words, moved):
    """The points that the groups come to at this scale, packed, and which had to be moved there."""
    starts, near, _ = book
    none = counting() * 0
    cells = np.empty(n_groups * WIDTH, np.int32)
    scales = np.empty(WIDTH, np.float32)
    store(scales, 0, scale)
    bits, radix, top = (2, 3, 2) if width == 8 else (3, 8, 7)
    odd = to_float((counting() & ((1 << bits) - 1)) * 2 + 1)
    for g in range(n_groups):
        word = none
        cell = none
        power = 1
        for j in range(width):
            v = load(x, (g * width + j) * WIDTH)
            level = nearest_int((inverse * v - 1) * 0.5)
            level = where(level > 0, level, 0)
            level = where(level > top, top, level)
            word = word | (level << (bits * j))
            cell = cell + level * power
            power *= radix
        store(words, g * WIDTH, word)
        store(moved, g * WIDTH, none)
        store(cells, g * WIDTH, cell)
    for g in range(n_groups):
        for k in range(WIDTH):
            cell = types.uintp(cells[g * WIDTH + k])
            start, stop = starts[cell], starts[cell + types.uintp(1)]
            if start == stop or not (live >> k) & 1:
                continue
            at = g * width * WIDTH + k
            q = odd * scales[k]
            if width == 8:
                word = nearest_of_eight(near, start, stop, x, weight, at, q)
            else:
                word = nearest_of_four(near, start, stop, x, weight, at, q)
            words[g * WIDTH + k] = word
            moved[g * WIDTH + k] = 1


@numba.njit(nogil=True)
def sums(weight, wx, words, width, n_groups):
    """The sums of w*x*q and w*q*q, whose quotient is the best scale for these points."""
    xq = everywhere(np.float32(0))
    qq = everywhere(np.float32(0))
    bits = 2 if width == 8 else 3
    for g in range(n_groups):
        word = load(words, g * WIDTH)
        for j in range(width):
            at = (g * width + j) * WIDTH
            q = to_float(((word >> (bits * j)) & ((1 << bits) - 1)) * 2 + 1)
            xq = xq + load(wx, at) * q
            qq = qq + load(weight, at) * q * q
    return xq, qq


@numba.njit(nogil=True)
def search_scale(book, x, weight, reach, scale, live, width, size, tries, step, again, points):
    """The best scale of each sub-block, and its groups' points, as the definition finds them."""
    n_groups = size // width
    top = 2 if width == 8 else 7
    best = everywhere(np.float32(0))
    roots, wx = np.empty_like(x), np.empty_like(x)
    words = np.zeros(n_groups * WIDTH, np.int32)
    moved, kept, kept_moved = np.zeros_like(words), np.zeros_like(words), np.zeros_like(words)
    for i in range(size):
        w = load(weight, i * WIDTH)
        store(roots, i * WIDTH, root(w))
        store(wx, i * WIDTH, w * load(x, i * WIDTH))
    kept_moved[:] = again == ALL_IF_MOVED
    for change in range(-tries, tries + 1):
        odd = np.float32(2 * top + 1) + np.float32(change) * np.float32(step)
        inverse = everywhere(odd) / reach
        tried = everywhere(np.float32(1)) / inverse
        snap(book, x, roots, live, inverse, tried, width, n_groups, words, moved)
        xq, qq = sums(weight, wx, words, width, n_groups)
        better = (qq > 0) & (xq * xq > best * qq)
        scale = where(better, xq / qq, scale)
        best = where(better, scale * xq, best)
        for g in range(n_groups):
            at = g * WIDTH
            store(kept, at, where(better, load(words, at), load(kept, at)))
            store(kept_moved, at, where(better, load(moved, at), load(kept_moved, at)))
    some = load(kept_moved, 0)
    for g in range(1, n_groups):
        some = some | load(kept_moved, g * WIDTH)
    if again == ALL:
        some = some | 1
    redo = (some == 1) & (scale > 0)
    redone = live & true_lanes(redo)
    inverse = everywhere(np.float32(1)) / scale
    snap(book, x, roots, redone, inverse, scale, width, n_groups, words, moved)
    for g in range(n_groups):
        at = g * WIDTH
        word = load(kept, at)
        change = redo
        if again == MOVED:
            change = redo & (load(kept_moved, at) == 1)
        word = where(change, load(words, at), word)
        store(kept, at, word)
    xq, qq = sums(weight, wx, kept, width, n_groups)
    scale = where(redo & (qq > 0), xq / qq, scale)
    point_of = book[2]
    for i in range(n_groups * WIDTH):
        cell = kept[i]
        if width == 8:
            word, cell, power = kept[i], 0, 1
            for j in range(8):
                cell += ((word >> (2 * j)) & 3) * power
                power *= 3
        points[i] = point_of[types.uintp(cell)]
    return scale


@numba.njit(nogil=True)
def flip_negative(scale, signs, n, mask):
    """Scales are stored without a sign: where one is negative, all signs of its groups change."""
    negative = scale < 0
    for g in range(n):
        bits = load(signs, g * WIDTH)
        store(signs, g * WIDTH, where(negative, bits ^ mask, bits))
    return where(negative, -scale, scale)


@numba.njit(nogil=True)
def scale_step(scale, inverse, top):
    """A sub-block's scale as a whole number, given 1 / the smallest scale."""
    level = rounded(np.float32(0.5) * (inverse * scale - np.float32(1)))
    return min(max(level, types.int32(0)), types.int32(top))


@numba.njit(nogil=True)
def settle(scale, live, scales):
    """Put the scales in an array, 0 for the sub-blocks that hold nothing."""
    store(scales, 0, scale)
    for k in range(WIDTH):
        if not (live >> k) & 1:
            scales[k] = 0


@numba.njit(nogil=True)
def largest_of(scales, lane, count):
    """The largest scale of a block; NaN if one is, so that the block is refused."""
    most = np.float32(0)
    for k in range(lane, lane + count):
        if np.isnan(scales[k]):
            return scales[k]
        most = max(most, scales[k])
    return most


# ---- words of 32 bits


@numba.njit(nogil=True)
def load_word(block, at):
    """The little-endian 32 bits at this byte."""
    word = np.uint32(0)
    for k in range(4):
        word |= np.uint32(block[at + k]) << np.uint32(8 * k)
    return word


@numba.njit(nogil=True)
def store_word(block, at, word):
    """Write 32 bits at this byte, little-endian."""
    for k in range(4):
        block[at + k] = word >> np.uint32(8 * k) & np.uint32(255)
