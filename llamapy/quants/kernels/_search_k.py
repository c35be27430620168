"""The searches of `search_k`, compiled: 16 groups, or the scales of 16 blocks, side by side.

They work in a scratch array, a `tile`. What is searched lies lane after lane: element i of group g
at X + 16 * i + g, its weight at WEIGHTS, and its level, where there is one, at LEVELS.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from ..search_k import ROUNDS, SMALLEST, nudges
from ._lanes import bits_of, everywhere, float_of, load, store, to_float, to_int, true_lanes, where

# what only kernels call needs no entry from Python, which would be compiled for each of them
_NO_ENTRY: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
inner = numba.njit(nogil=True, error_model="numpy", **_NO_ENTRY)

SIGNED_NUDGES = nudges(9)
POSITIVE_NUDGES = nudges(4)

# as NumPy numbers, because for each plain number that is passed on, Numba compiles anew
X, WEIGHTS, LEVELS = np.intp(0), np.intp(512), np.intp(1024)


@inner
def nearest(x):
    """The nearest whole numbers, halves to even, read from a float's last bits as ggml does."""
    magic = np.float32(12582912)
    # the 23 bits under the exponent of 2**23 are again a float, from which 1.5 * 2**23 goes
    # without rounding; so also where the addition ran over and the bits are nonsense
    return float_of(bits_of(x + magic) & 0x007FFFFF | 0x4B000000) - magic


@inner
def clamp(x, low, high):
    x = where(x < high, x, high)
    return where(x > low, x, low)


@inner
def differs(a, b):
    return (a < b) | (a > b)


# ---- a scale and a minimum


@inner
def fit_affine(tile, n, top, offsets, absolute):
    """Scale and lowest value, and the factor and lowest value that the levels were rounded with."""
    low = high = load(tile, X)
    total = load(tile, WEIGHTS)
    total_x = total * low
    for i in range(16, 16 * n, 16):
        value, weight = load(tile, X + i), load(tile, WEIGHTS + i)
        low = where(value < low, value, low)
        high = where(value > high, value, high)
        total = total + weight
        total_x = total_x + weight * value
    low = where(low > 0, 0, low)
    varied = high > low
    factor = top / (high - low)
    scale = 1 / factor
    for i in range(0, 16 * n, 16):
        store(tile, LEVELS + i, clamp(nearest(factor * (load(tile, X + i) - low)), 0, top))
    best = _affine_error(tile, n, scale, low, absolute)
    used_factor, used_low = where(varied, factor, 0), low
    scale = where(varied, scale, 0)
    for offset in offsets:
        factor = (offset + top) / (high - low)
        sum_q = sum_qq = sum_xq = everywhere(0)
        for i in range(0, 16 * n, 16):
            value = load(tile, X + i)
            q = clamp(nearest(factor * (value - low)), 0, top)
            store(tile, LEVELS + i, q)
            weighted = load(tile, WEIGHTS + i) * q
            sum_q = sum_q + weighted
            sum_qq = sum_qq + weighted * q
            sum_xq = sum_xq + weighted * value
        determinant = total * sum_qq - sum_q * sum_q
        new_scale = (total * sum_xq - total_x * sum_q) / determinant
        new_low = (sum_qq * total_x - sum_q * sum_xq) / determinant
        positive = new_low > 0
        new_scale = where(positive, sum_xq / sum_qq, new_scale)
        new_low = where(positive, 0, new_low)
        error = _affine_error(tile, n, new_scale, new_low, absolute)
        better = varied & (determinant > 0) & (error < best)
        best = where(better, error, best)
        scale = where(better, new_scale, scale)
        used_factor = where(better, factor, used_factor)
        used_low = where(better, low, used_low)
        low = where(better, new_low, low)
    return scale, low, used_factor, used_low


@inner
def _affine_error(tile, n, scale, low, absolute):
    error = everywhere(0)
    for i in range(0, 16 * n, 16):
        difference = scale * load(tile, LEVELS + i) + low - load(tile, X + i)
        size = abs(difference) if absolute else difference * difference
        error = error + load(tile, WEIGHTS + i) * size
    return error


# ---- a signed scale


@inner
def _farthest(tile, n):
    """The values farthest from zero, with their signs."""
    found = everywhere(0)
    for i in range(0, 16 * n, 16):
        value = load(tile, X + i)
        found = where(abs(value) > abs(found), value, found)
    return found


@inner
def _signed_sums(tile, n, factor, half):
    """The weighted products of values and levels, and of levels with themselves."""
    sum_xq = sum_qq = everywhere(0)
    for i in range(0, 16 * n, 16):
        value, weight = load(tile, X + i), load(tile, WEIGHTS + i)
        q = clamp(nearest(factor * value), -half, half - 1)
        sum_xq = sum_xq + weight * value * q
        sum_qq = sum_qq + weight * q * q
    return sum_xq, sum_qq


@inner
def fit_signed(tile, n, half):
    """Scale, and the factor that the levels were rounded with: NaN for a group of zeros."""
    farthest = _farthest(tile, n)
    used = abs(farthest) >= SMALLEST
    used_factor = -half / farthest
    sum_xq, sum_qq = _signed_sums(tile, n, used_factor, half)
    scale = where(sum_qq == 0, 0, sum_xq / sum_qq)
    best = scale * sum_xq
    for nudge in SIGNED_NUDGES:
        factor = -(half + nudge) / farthest
        sum_xq, sum_qq = _signed_sums(tile, n, factor, half)
        better = (sum_qq > 0) & (sum_xq * sum_xq > best * sum_qq)
        scale = where(better, sum_xq / sum_qq, scale)
        best = where(better, scale * sum_xq, best)
        used_factor = where(better, factor, used_factor)
    return where(used, scale, 0), where(used, used_factor, np.float32(np.nan))


@inner
def signed_levels(x, factor, half):
    """What `fit_signed` rounds to, plus `half`; 0 where the factor is NaN."""
    return where(factor == factor, clamp(nearest(factor * x), -half, half - 1) + half, 0)


@inner
def fit_signed_by_descent(tile, n, half):
    """Scale; the levels plus `half` go to the tile, 0 for a group of zeros."""
    farthest = _farthest(tile, n)
    used = abs(farthest) >= SMALLEST
    factor = -half / farthest
    sum_xq = sum_qq = everywhere(0)
    for i in range(0, 16 * n, 16):
        value = load(tile, X + i)
        q = clamp(nearest(factor * value), -half, half - 1)
        store(tile, LEVELS + i, q)
        weight = value * value
        sum_xq = sum_xq + weight * value * q
        sum_qq = sum_qq + weight * q * q
    for _ in range(ROUNDS):
        moved = False
        for i in range(0, 16 * n, 16):
            value, q = load(tile, X + i), load(tile, LEVELS + i)
            weight = value * value
            rest_xq = sum_xq - weight * value * q
            rest_qq = sum_qq - weight * q * q
            new = clamp(nearest(value * rest_qq / rest_xq), -half, half - 1)
            better = used & (rest_xq > 0) & differs(new, q)
            rest_xq = rest_xq + weight * value * new
            rest_qq = rest_qq + weight * new * new
            better = better & (rest_qq > 0)
            better = better & (rest_xq * rest_xq * sum_qq > sum_xq * sum_xq * rest_qq)
            if true_lanes(better):
                moved = True
                store(tile, LEVELS + i, where(better, new, q))
                sum_xq = where(better, rest_xq, sum_xq)
                sum_qq = where(better, rest_qq, sum_qq)
        if not moved:
            break
    for i in range(0, 16 * n, 16):
        store(tile, LEVELS + i, where(used, load(tile, LEVELS + i) + half, 0))
    return where(used & (sum_qq > 0), sum_xq / sum_qq, 0)


# ---- a scale of scales


@inner
def _last_byte(q):
    """What a byte keeps of a whole number."""
    return to_float(to_int(q) & 255)


@inner
def fit_positive(tile, n, top):
    """Scale; the levels, as a byte keeps them, go to the tile."""
    highest = everywhere(0)
    for i in range(0, 16 * n, 16):
        value = load(tile, X + i)
        highest = where(highest > value, highest, value)
    used = highest >= SMALLEST
    factor = top / highest
    scale = 1 / factor
    best = everywhere(0)
    for i in range(0, 16 * n, 16):
        value = load(tile, X + i)
        difference = value - scale * _last_byte(nearest(factor * value))
        best = best + load(tile, WEIGHTS + i) * difference * difference
    for nudge in POSITIVE_NUDGES:
        tried = (nudge + top) / highest
        scale = 1 / tried
        error = everywhere(0)
        for i in range(0, 16 * n, 16):
            value = load(tile, X + i)
            q = nearest(tried * value)
            difference = value - scale * where(q < top, q, top)
            error = error + load(tile, WEIGHTS + i) * difference * difference
        better = error < best
        best = where(better, error, best)
        factor = where(better, tried, factor)
    sum_xq = sum_qq = everywhere(0)
    for i in range(0, 16 * n, 16):
        value, weight = load(tile, X + i), load(tile, WEIGHTS + i)
        q = nearest(factor * value)
        q = where(q < top, q, top)
        store(tile, LEVELS + i, where(used, _last_byte(q), 0))
        sum_xq = sum_xq + weight * value * q
        sum_qq = sum_qq + weight * q * q
    for _ in range(ROUNDS):
        moved = False
        for i in range(0, 16 * n, 16):
            value, weight = load(tile, X + i), load(tile, WEIGHTS + i)
            q = load(tile, LEVELS + i)
            rest_xq = sum_xq - weight * value * q
            rest_qq = sum_qq - weight * q * q
            new = nearest(value * rest_qq / rest_xq)
            new = where(new < top, new, top)
            better = used & (rest_xq > 0) & (rest_qq > 0) & differs(new, q)
            rest_xq = rest_xq + weight * value * new
            rest_qq = rest_qq + weight * new * new
            better = better & (rest_xq * rest_xq * sum_qq > sum_xq * sum_xq * rest_qq)
            if true_lanes(better):
                moved = True
                store(tile, LEVELS + i, where(better, _last_byte(new), q))
                sum_xq = where(better, rest_xq, sum_xq)
                sum_qq = where(better, rest_qq, sum_qq)
        if not moved:
            break
    return where(used & (sum_qq > 0), sum_xq / sum_qq, 0)
