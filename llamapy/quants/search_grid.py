"""The searches that the codebook formats share, as NumPy definitions.

A sub-block has one scale and several groups of weights, and each group must land on a point of a
codebook. The order of every sum is part of the definition: the bytes depend on it.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import QuantizationError
from ._grids import Codebook
from .base import Floats, ordered_sum
from .search import nearest_int

BLOCK = 256
Ints: TypeAlias = NDArray[np.integer[Any]]
Bools: TypeAlias = NDArray[np.bool_]

# What the second look at the chosen scale goes over: the groups that were off the codebook, all
# groups if any was off it, or all groups always.
Again: TypeAlias = Literal["moved", "all if moved", "all"]


def weigh(
    rows: Floats, importance: Floats | None, *, spread: float, plain: float
) -> tuple[Floats, Floats]:
    """The blocks of each row, [n_rows, n_blocks, 256], and how much an error in each value costs.

    With importance the cost grows with the value's size, softened by the block's mean square times
    `spread`; without, it is the square of the value plus that mean square times `plain`.
    """
    x = rows.reshape(len(rows), -1, BLOCK)
    square = x * x
    mean = np.float32(spread) * ordered_sum(square)[..., None] / np.float32(BLOCK)
    if importance is None:
        weight = np.float32(plain) * mean + square
    else:
        weight = importance.reshape(-1, BLOCK) * np.sqrt(mean + square)
    refuse_overflow(bool(np.isfinite(weight).all()))
    return x, weight


def refuse_overflow(fits: bool) -> None:
    """Say so when what an error costs does not fit float32, and no choice means anything."""
    if not fits:
        raise QuantizationError(
            "the squares of the values, or their product with the importance weights, overflow "
            "float32: scale the tensor or the importance down"
        )


def fold_signs(x: Floats, weight: Floats, *, even: bool) -> tuple[Floats, Ints]:
    """Sizes and signs of groups of 8: bit j of a group's sign byte says that value j is negative.

    With `even` only 7 sign bits are stored and the eighth makes their number even: where it is odd,
    the value whose sign matters least is given the wrong one, and so becomes a negative size.
    """
    negative = ~(x >= 0)
    size = np.where(negative, -x, x)
    if even:
        odd = negative.sum(-1) % 2 == 1
        least = (weight * x * x).argmin(-1)
        wrong = odd[..., None] & (np.arange(8) == least[..., None])
        size = np.where(wrong, -size, size)
        negative = negative ^ wrong
    signs = (negative << np.arange(8)).sum(-1)
    return size, signs & 127 if even else signs


def sign_bits(signs: Ints, *, even: bool) -> Floats:
    """The factors 1 and -1 of groups of 8, from what `fold_signs` gave."""
    bits = signs[..., None] >> np.arange(8) & 1
    if even:
        bits[..., 7] = bits[..., :7].sum(-1) & 1
    return (1 - 2 * bits.astype(np.int8)).astype(np.float32)


def step_levels(x: Floats, inverse: Floats, top: int) -> Ints:
    """The level of each value, rounded alone: sizes are 1, 3, 5 ... times the scale."""
    level = nearest_int(np.float32(0.5) * (inverse[:, None, None] * x - np.float32(1)))
    return np.clip(level, 0, top)


def snap(
    book: Codebook, levels: Ints, x: Floats, weight: Floats, scale: Floats, values: Floats
) -> tuple[Ints, Bools]:
    """The point of each group, [n, n_groups], and whether it had to be moved to get there.

    Of the neighbours, the one with the least weighted square error wins; the first of several.
    `values` are what the levels stand for, alike for all groups or [n, n_groups, levels].
    """
    cells = levels @ book.powers
    points: Ints = book.point_of[cells].astype(np.int64)
    moved = points < 0
    group = np.nonzero(moved)
    starts, near = book.neighbours
    first, last = starts[cells[group]], starts[cells[group] + 1]
    choices = first[:, None] + np.arange((last - first).max(initial=1))
    missing = choices >= last[:, None]
    points_near = near[np.where(missing, first[:, None], choices)]
    values = np.broadcast_to(values, (*points.shape, book.levels))[group]
    error = np.zeros(choices.shape, np.float32)
    for axis in range(book.width):
        q = np.take_along_axis(values, book.points[points_near, axis], -1)
        off = scale[group[0], None] * q - x[group][:, axis, None]
        error += weight[group][:, axis, None] * off * off
    overflow = ~(error <= np.finfo(np.float32).max)
    error[missing | overflow] = np.finfo(np.float32).max
    points[group] = points_near[np.arange(len(error)), error.argmin(-1)]
    return points, moved


def fit_scale(x: Floats, weight: Floats, q: Floats) -> tuple[Floats, Floats]:
    """Sums of w*x*q and w*q*q, whose quotient is the best scale for these levels."""
    n = len(x)
    w, x, q = (part.reshape(n, -1) for part in (weight, x, q))
    return ordered_sum(w * x * q), ordered_sum(w * q * q)


def search_scale(
    book: Codebook,
    x: Floats,
    weight: Floats,
    reach: Floats,
    scale: Floats,
    *,
    tries: int,
    step: float,
    again: Again,
) -> tuple[Ints, Floats]:
    """The best scale of each sub-block [n, n_groups, width], and the points of its groups.

    Scales around `reach` / (the largest size) are tried, and the one that explains most of the
    weighted squares is kept; `scale` is what stands when none does.
    """
    top = book.levels - 1
    values = np.arange(1, 2 * book.levels, 2).astype(np.float32)
    root = np.sqrt(weight)
    best = np.zeros_like(scale)
    points = np.zeros(x.shape[:2], np.int64)
    moved = np.full(points.shape, again == "all if moved")
    for change in np.arange(-tries, tries + 1).astype(np.float32) * np.float32(step):
        inverse = (np.float32(2 * top + 1) + change) / reach
        levels = step_levels(x, inverse, top)
        tried, moved_now = snap(book, levels, x, root, 1 / inverse, values)
        xq, qq = fit_scale(x, weight, values[book.points[tried]])
        better = (qq > 0) & (xq * xq > best * qq)
        scale = np.where(better, xq / qq, scale)
        best = np.where(better, scale * xq, best)
        points[better], moved[better] = tried[better], moved_now[better]
    redo = moved if again == "moved" else moved.any(1, keepdims=True) | (again == "all")
    redo = redo & (scale > 0)[:, None]
    levels = step_levels(x, np.float32(1) / scale, top)
    points = np.where(redo, snap(book, levels, x, root, scale, values)[0], points)
    xq, qq = fit_scale(x, weight, values[book.points[points]])
    return points, np.where(redo.any(1) & (qq > 0), xq / qq, scale)


def flip_negative(scale: Floats, signs: Ints, mask: int) -> tuple[Floats, Ints]:
    """Scales are stored without a sign: where one is negative, all signs of its groups change."""
    negative = scale < 0
    return np.where(negative, -scale, scale), np.where(negative[:, None], ~signs & mask, signs)


def scale_steps(scales: Floats, largest: Floats, top: int) -> Ints:
    """Each sub-block's scale as 1, 3, 5 ... times the least, of which `largest` is 2 * top + 1."""
    inverse = np.float32(1) / (largest / np.float32(2 * top + 1))
    level = nearest_int(np.float32(0.5) * (inverse[..., None] * scales - np.float32(1)))
    return np.where(largest[..., None] > 0, np.clip(level, 0, top), 0)


# ---- levels -1, 0, 1 with an offset

OFFSET = np.float32(0.125)
ABOVE = np.array([-1, 0, 1], np.float32) + OFFSET
BELOW = np.array([-1, 0, 1], np.float32) - OFFSET


def sort_values(x: Floats) -> Ints:
    """The order of the values of each row; equal values stay in theirs."""
    return np.argsort(x, axis=-1, kind="stable")


def running_sums(terms: Floats) -> Floats:
    """The sums of the first 0, 1, 2 ... terms of each row."""
    zero = np.zeros((*terms.shape[:-1], 1), np.float32)
    return np.concatenate([zero, np.add.accumulate(terms, axis=-1, dtype=np.float32)], axis=-1)


class BestSplit:
    """The best way found so far to split each row of sorted values among the three levels."""

    def __init__(self, rows: int) -> None:
        self.score = np.full(rows, -np.finfo(np.float32).max, np.float32)
        self.scale = np.zeros(rows, np.float32)
        self.first, self.second, self.kind = (np.full(rows, -1) for _ in range(3))

    def offer(self, xq: Floats, qq: Floats, first: int, second: int, kind: int) -> None:
        """Take this split, with the sums of its `fit_scale`, where it explains more."""
        better = (qq > 0) & (xq * xq > self.score * qq)
        self.scale = np.where(better, xq / qq, self.scale)
        self.score = np.where(better, self.scale * xq, self.score)
        self.first = np.where(better, first, self.first)
        self.second = np.where(better, second, self.second)
        self.kind = np.where(better, kind, self.kind)

    def levels(self, order: Ints) -> Ints:
        """The level of every value, in its own place; mirrored where the scale is negative."""
        rank = np.arange(order.shape[1])
        sorted_levels = (rank >= self.first[:, None]) * 1 + (rank >= self.second[:, None])
        levels = np.zeros_like(order)
        np.put_along_axis(levels, order, sorted_levels, axis=1)
        return np.where(self.scale[:, None] < 0, 2 - levels, levels)


def fit_offset_scale(x: Floats, weight: Floats, q: Floats) -> tuple[Floats, Floats]:
    """The sums of `fit_scale` for levels with an offset, where the products are taken as w*q*x."""
    n = len(x)
    w, x, q = (part.reshape(n, -1) for part in (weight, x, q))
    return ordered_sum(w * q * x), ordered_sum(w * q * q)


def refit(
    book: Codebook,
    points: Ints,
    moved: Bools,
    x: Floats,
    weight: Floats,
    scale: Floats,
    values: Floats,
) -> Floats:
    """The scale for the points that were reached, where a group had to be moved."""
    q = np.take_along_axis(values, book.points[points].astype(np.int64), -1)
    xq, qq = fit_offset_scale(x, weight, q)
    return np.where(moved.any(1) & (xq > 0) & (qq > 0), xq / qq, scale)
