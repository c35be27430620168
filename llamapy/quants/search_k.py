"""The searches for good scales that the K formats share, as NumPy definitions.

All work on groups along the last axis, [..., n], and add up from left to right in float32, so that
equal inputs give equal bits. Each returns the levels it chose too, since a group whose stored scale
becomes zero keeps them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Floats, ordered_sum
from .search import nearest_int

Levels = NDArray[np.int32]

# Groups smaller than this count as zero.
SMALLEST = np.float32(1e-15)
ROUNDS = 5


def trials(first: float, step: float, last: int) -> Floats:
    """The offsets to the number of levels that a search tries: first + step * [0..last]."""
    return np.float32(first) + np.float32(step) * np.arange(last + 1, dtype=np.float32)


def nudges(most: int) -> Floats:
    """Tenths of a level on both sides, without zero: what the signed searches try."""
    steps = np.arange(-most, most + 1, dtype=np.float32)
    return np.float32(0.1) * steps[steps != 0]


def spread(x: Floats, importance: Floats, factor: int) -> Floats:
    """Importance [..., 256] times the root of each square plus the block's mean square."""
    mean = np.float32(factor) * ordered_sum(x * x) / np.float32(x.shape[-1])
    return importance * np.sqrt(mean[..., None] + x * x)


def fit_affine(
    x: Floats, weights: Floats, top: int, offsets: Floats, *, absolute: bool = False
) -> tuple[Floats, Floats, Levels]:
    """Scale, lowest value (<= 0) and levels [0, top] for x = scale * level + low.

    Tries one division of the range after the other; each trial's levels are followed by a weighted
    least-squares fit, kept if its error is smaller, and then the next trial starts from its low.
    """
    low, high = np.minimum(x.min(-1), np.float32(0)), x.max(-1)
    total, total_x = ordered_sum(weights), ordered_sum(weights * x)
    varied = high != low

    def levels_of(factor: Floats, low: Floats) -> Levels:
        return np.clip(nearest_int(factor[..., None] * (x - low[..., None])), 0, top)

    def error_of(scale: Floats, low: Floats, levels: Levels) -> Floats:
        difference = scale[..., None] * levels.astype(np.float32) + low[..., None] - x
        size = np.abs(difference) if absolute else difference * difference
        return ordered_sum(weights * size)

    factor = np.float32(top) / (high - low)
    scale = 1 / factor
    levels = levels_of(factor, low)
    best = error_of(scale, low, levels)
    for offset in offsets:
        factor = (offset + np.float32(top)) / (high - low)
        tried = levels_of(factor, low)
        q = tried.astype(np.float32)
        sum_q = ordered_sum(weights * q)
        sum_qq = ordered_sum(weights * q * q)
        sum_xq = ordered_sum(weights * q * x)
        determinant = total * sum_qq - sum_q * sum_q
        new_scale = np.divide(total * sum_xq - total_x * sum_q, determinant)
        new_low = np.divide(sum_qq * total_x - sum_q * sum_xq, determinant)
        positive = new_low > 0
        new_scale = np.where(positive, sum_xq / sum_qq, new_scale)
        new_low = np.where(positive, np.float32(0), new_low)
        error = error_of(new_scale, new_low, tried)
        better = varied & (determinant > 0) & (error < best)
        best = np.where(better, error, best)
        scale, low = np.where(better, new_scale, scale), np.where(better, new_low, low)
        levels = np.where(better[..., None], tried, levels)
    return (
        np.where(varied, scale, np.float32(0)),
        low,
        np.where(varied[..., None], levels, 0),
    )


def fit_signed(x: Floats, weights: Floats, half: int) -> tuple[Floats, Levels]:
    """Scale and levels [-half, half) for x = scale * level: the largest value sits at -half.

    Levels are returned plus `half`. A group of zeros has scale 0 and, as an exception, levels 0.
    """
    most = largest(x)
    used = np.abs(most) >= SMALLEST

    def levels_of(factor: Floats) -> Levels:
        return np.clip(nearest_int(factor[..., None] * x), -half, half - 1)

    def sums(levels: Levels) -> tuple[Floats, Floats]:
        q = levels.astype(np.float32)
        return ordered_sum(weights * x * q), ordered_sum(weights * q * q)

    levels = levels_of(np.float32(-half) / most)
    sum_xq, sum_qq = sums(levels)
    scale = np.where(sum_qq != 0, sum_xq / sum_qq, np.float32(0))
    best = scale * sum_xq
    for nudge in nudges(9):
        tried = levels_of(-(np.float32(half) + nudge) / most)
        sum_xq, sum_qq = sums(tried)
        better = (sum_qq > 0) & (sum_xq * sum_xq > best * sum_qq)
        scale = np.where(better, sum_xq / sum_qq, scale)
        best = np.where(better, scale * sum_xq, best)
        levels = np.where(better[..., None], tried, levels)
    return np.where(used, scale, np.float32(0)), np.where(used[..., None], levels + half, 0)


def fit_signed_by_descent(x: Floats, half: int) -> tuple[Floats, Levels]:
    """As `fit_signed` with weights x * x, but moving one level at a time to where it fits best."""
    most = largest(x)
    used = np.abs(most) >= SMALLEST
    weights = x * x
    factor = np.float32(-half) / most
    levels = np.clip(nearest_int(factor[..., None] * x), -half, half - 1)
    q = levels.astype(np.float32)
    sums = [ordered_sum(weights * x * q), ordered_sum(weights * q * q)]
    for _ in range(ROUNDS):
        if not _descend(x, weights, levels, sums, -half, half - 1):
            break
    scale = np.where(sums[1] > 0, sums[0] / sums[1], np.float32(0))
    return np.where(used, scale, np.float32(0)), np.where(used[..., None], levels + half, 0)


def fit_positive(x: Floats, weights: Floats, top: int) -> tuple[Floats, Levels]:
    """Scale and levels [0, top] for x = scale * level with x >= 0: how scales are stored.

    Levels live in bytes: a slightly negative x, which rounding can make, wraps around.
    """
    highest = np.maximum(x.max(-1), np.float32(0))
    used = highest >= SMALLEST

    def error_of(scale: Floats, levels: Levels) -> Floats:
        difference = x - scale[..., None] * levels.astype(np.float32)
        return ordered_sum(weights * difference * difference)

    factor = np.float32(top) / highest
    best = error_of(1 / factor, nearest_int(factor[..., None] * x) & 255)
    for nudge in nudges(4):
        tried = (nudge + np.float32(top)) / highest
        levels = np.minimum(nearest_int(tried[..., None] * x), top)
        error = error_of(1 / tried, levels)
        factor = np.where(error < best, tried, factor)
        best = np.where(error < best, error, best)
    levels = np.minimum(nearest_int(factor[..., None] * x), top)
    q = levels.astype(np.float32)
    sums = [ordered_sum(weights * x * q), ordered_sum(weights * q * q)]
    levels &= 255
    for _ in range(ROUNDS):
        if not _descend(x, weights, levels, sums, None, top):
            break
    scale = np.where(sums[1] > 0, sums[0] / sums[1], np.float32(0))
    return np.where(used, scale, np.float32(0)), np.where(used[..., None], levels, 0)


def largest(x: Floats) -> Floats:
    """The value farthest from zero, with its sign; NaN, which sums that ran over give, is none."""
    x = np.where(np.isnan(x), np.float32(0), x)
    return np.take_along_axis(x, np.abs(x).argmax(-1)[..., None], -1)[..., 0]


def _descend(
    x: Floats, weights: Floats, levels: Levels, sums: list[Floats], low: int | None, high: int
) -> bool:
    """Move each level once, in order, if that makes the fit better; tells whether one moved.

    Levels without a `low` are those of `fit_positive`, which live in bytes.
    """
    any_moved = False
    for i in range(x.shape[-1]):
        value, weight, level = x[..., i], weights[..., i], levels[..., i]
        sum_xq, sum_qq = sums
        q = level.astype(np.float32)
        rest_xq = sum_xq - weight * value * q
        rest_qq = sum_qq - weight * q * q
        movable = rest_xq > 0
        if low is None:
            movable &= rest_qq > 0
        moved = np.clip(nearest_int(np.divide(value * rest_qq, rest_xq)), low, high)
        q = moved.astype(np.float32)
        rest_xq = rest_xq + weight * value * q
        rest_qq = rest_qq + weight * q * q
        better = movable & (moved != level) & (rest_qq > 0 if low is not None else True)
        better &= rest_xq * rest_xq * sum_qq > sum_xq * sum_xq * rest_qq
        sums[0] = np.where(better, rest_xq, sum_xq)
        sums[1] = np.where(better, rest_qq, sum_qq)
        levels[..., i] = np.where(better, moved & (255 if low is None else -1), level)
        any_moved |= bool(better.any())
    return any_moved
