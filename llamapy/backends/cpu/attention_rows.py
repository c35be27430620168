# mypy: check-untyped-defs=False
"""What attention does with rows of scores: they become shares, as powers of two.

A row is a query. Scores come times log2(e), for 2 ** x is cheaper than e ** x.
"""

from __future__ import annotations

import numpy as np

from .elementwise import float_of
from .functions import hyperbolic_tangent
from .kernel import device, kernel
from .simd import (
    absolute,
    floats_of,
    fma,
    load_f32,
    load_first_floats,
    load_floats16,
    load_i32,
    load_ints16,
    maximum,
    most,
    reduce_max,
    repeat_float,
    round_floats,
    round_ints,
    store,
    store_f32,
    to_floats,
    where,
)

KEYS = 128  # of a block: between two looks at the largest score
NOTHING = -1e30  # the score of what is not seen
BARELY = -1e29  # what is below it is such a score
LOG2_E = 1.4426950408889634
# 2 ** f = 1 + f * (C1 + f * (C2 ...)) for f from -0.5 to 0.5, of the smallest relative error
C1, C2, C3, C4, C5 = 0.69314700, 0.24022242, 0.055507336, 0.0096715130, 0.0013264720


@device
def power_of_two(x):
    """2 ** x for x up to 0, to the last bit but one; exactly 0 below -127. NaN stays."""
    x = maximum(repeat_float(-127.0), x)
    n = round_floats(x)
    f = x - n
    p = fma(repeat_float(C5), f, repeat_float(C4))
    p = fma(p, f, repeat_float(C3))
    p = fma(p, f, repeat_float(C2))
    p = fma(p, f, repeat_float(C1))
    p = fma(p, f, repeat_float(1.0))
    return p * floats_of((round_ints(x) + 127) << 23)


@device
def _largest(scores):
    """The largest of a row's scores, of which all are seen. NaN is passed over."""
    top = repeat_float(NOTHING)
    for k in range(0, KEYS, 16):
        top = maximum(load_floats16(scores + 4 * k), top)
    return reduce_max(top)


@device
def _hide(scores, at, reach, low, here, softcap, slope, bias, bias_count, factor):
    """What is not seen gets the score of nothing; returns the largest of the rest.

    A factor other than 1 is what scores still lack, after all that is added to them.
    """
    top = repeat_float(NOTHING)
    for k in range(0, KEYS, 16):
        position = load_ints16(at + 4 * k)
        value = load_floats16(scores + 4 * k)
        if factor != 1:
            if softcap != 0:
                value = hyperbolic_tangent(value / softcap) * softcap
            if bias != 0:
                value = value + load_first_floats(bias + 4 * k, most(0, bias_count - k))
            if slope != 0:
                value = value - absolute(to_floats(position - here)) * slope
            value = value * factor
        value = where(position > low, value, NOTHING)
        value = where(position <= reach, value, NOTHING)
        value = maximum(repeat_float(NOTHING), value)
        store(scores + 4 * k, value)
        top = maximum(value, top)
    return reduce_max(top)


@device
def _take_shares(scores, top, factor, sums):
    """Scores become shares; what they add up to, lane by lane, is brought up to date."""
    total = load_floats16(sums) * factor
    for k in range(0, KEYS, 16):
        share = power_of_two(load_floats16(scores + 4 * k) - top)
        store(scores + 4 * k, share)
        total = total + share
    store(sums, total)


@device
def _take_some_shares(scores, top, factor, sums):
    """The same where some are hidden."""
    total = load_floats16(sums) * factor
    for k in range(0, KEYS, 16):
        value = load_floats16(scores + 4 * k)
        share = where(value <= BARELY, 0.0, power_of_two(value - top))
        store(scores + 4 * k, share)
        total = total + share
    store(sums, total)


@kernel("attend_shares")
def take_shares(
    begin,
    is_open,
    scores,
    seen,
    tops,
    factors,
    sums,
    token,
    head,
    shared,
    heads,
    positions,
    reach,
    window,
    softcap,
    slopes,
    bias,
    cells,
    lack,
    first,
    last,
    thread,
):
    """The scores of a block become shares, over the rows of a run, from a token and a head on.

    `tops` are the largest scores so far, and `factors` what that makes of all that came before.
    """
    lack, softcap = float_of(lack), float_of(softcap)
    is_open = is_open != 0 and lack == 1
    for row in range(first, last):
        there = scores + 4 * KEYS * row
        if is_open:
            top = _largest(there)
        else:
            own, at = head + row % shared, token + row // shared
            here = load_i32(positions + 4 * at)
            slope, extra = np.float32(0), 0
            if slopes != 0:
                slope = load_f32(slopes + 4 * own)
            if bias != 0:
                extra = bias + 4 * ((at * heads + own) * cells + begin)
            low, until = most(-1, here - window), load_i32(reach + 4 * at)
            rest = cells - begin
            top = _hide(there, seen, until, low, here, softcap, slope, extra, rest, lack)
        store_f32(factors + 4 * row, top)
    for at in range(4 * first, 4 * last, 64):
        before = load_floats16(tops + at)
        now = maximum(before, load_floats16(factors + at))
        store(factors + at, power_of_two(before - now))
        store(tops + at, now)
    for row in range(first, last):
        there, total = scores + 4 * KEYS * row, sums + 64 * row
        top, less = load_f32(tops + 4 * row), load_f32(factors + 4 * row)
        if is_open:
            _take_shares(there, top, less, total)
        else:
            _take_some_shares(there, top, less, total)


@device
def fold(state, part, depth):
    """Add what a part of the keys gave to what those before it gave.

    Both are a largest score, the sum of shares, and 16 numbers further on the mixed values.
    """
    total = load_f32(part + 4)
    if total == 0:
        return
    before, now = load_f32(state), load_f32(part)
    top = now if now > before else before
    old = power_of_two(repeat_float(before - top))
    new = power_of_two(repeat_float(now - top))
    store_f32(state, top)
    store_f32(state + 4, load_f32(state + 4) * reduce_max(old) + total * reduce_max(new))
    for k in range(64, 64 + 4 * depth, 64):
        store(state + k, load_floats16(state + k) * old + load_floats16(part + k) * new)
