"""Searches for the scale, or scale and offset, that err least under weights: the definitions.

Many inverse scales about the obvious one are tried. For each, the values are rounded, and least
squares says which scale fits those whole numbers best; the best of all is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Floats, ordered_sum
from .search import largest_signed, nearest_int

TINY = np.float32(1e-15)  # a block whose values are all below this is all zero


def sum_from_zero(terms: Floats) -> Floats:
    """`ordered_sum`, but minus zero never comes out: the sum starts from plus zero."""
    return ordered_sum(terms) + np.float32(0)


def row_weights(x: Floats, importance: Floats) -> Floats:
    """Weights for blocks x [n_rows, n_blocks, block]: importance, times the value's size.

    A value counts by its own size and by that of its row, so that zeros count too.
    """
    n_rows, n_blocks, block = x.shape
    square = x * x
    mean = sum_from_zero(square.reshape(n_rows, -1)) / np.float32(n_blocks * block)
    return importance.reshape(n_blocks, block) * np.sqrt(mean[:, None, None] + square)


def search_scale(x: Floats, weights: Floats, reach: int) -> tuple[Floats, Floats]:
    """x [..., n] ~ scale * (q - reach), with q in 0 to 2 * reach - 1: gives scale and q."""
    largest = largest_signed(x)
    weighted = weights * x

    def try_inverse(step: int) -> tuple[Floats, Floats, Floats, Floats]:
        inverse = -(np.float32(reach) + np.float32(0.1) * np.float32(step)) / largest
        q = np.clip(nearest_int(inverse[..., None] * x), -reach, reach - 1).astype(np.float32)
        return inverse, q, sum_from_zero(weighted * q), sum_from_zero(weights * q * q)

    _, best_q, xq, qq = try_inverse(0)
    scale = np.divide(xq, qq, out=np.zeros_like(xq), where=qq != 0)
    best = scale * xq
    for step in range(-9, 10):
        if step == 0:
            continue
        _, q, xq, qq = try_inverse(step)
        better = (qq > 0) & (xq * xq > best * qq)
        scale = np.where(better, xq / qq, scale)
        best = np.where(better, scale * xq, best)
        best_q = np.where(better[..., None], q, best_q)
    empty = np.abs(largest) < TINY
    q = np.where(empty[..., None], 0, best_q + np.float32(reach))
    return np.where(empty, np.float32(0), scale), q


def search_scale_offset(x: Floats, weights: Floats, top: int) -> tuple[Floats, Floats, Floats]:
    """x [..., n] ~ scale * q + offset, with q in 0 to top and offset <= 0.

    An offset that proves better is what the following attempts measure from.
    """
    offset, high = first_least(x), x.max(-1)
    offset = np.where(offset > 0, np.float32(0), offset)
    flat = high <= offset
    sum_w, sum_x = ordered_sum(weights), ordered_sum(weights * x)

    def rounded(inverse: Floats) -> Floats:
        q = nearest_int(inverse[..., None] * (x - offset[..., None]))
        return np.clip(q, 0, top).astype(np.float32)

    def error(scale: Any, offset: Any, q: Floats) -> Floats:
        differ = scale[..., None] * q + offset[..., None] - x
        return sum_from_zero(weights * (differ * differ))

    inverse = np.float32(top) / (high - offset)
    scale, best_q = np.float32(1) / inverse, rounded(inverse)
    least = error(scale, offset, best_q)
    for step in range(37):
        levels = np.float32(-0.9) + np.float32(0.05) * np.float32(step) + np.float32(top)
        q = rounded(levels / (high - offset))
        sum_q, sum_qq = sum_from_zero(weights * q), sum_from_zero(weights * q * q)
        sum_qx = sum_from_zero(weights * q * x)
        determinant = sum_w * sum_qq - sum_q * sum_q
        new_scale = (sum_w * sum_qx - sum_x * sum_q) / determinant
        new_offset = (sum_qq * sum_x - sum_q * sum_qx) / determinant
        above_zero = new_offset > 0
        new_scale = np.where(above_zero, sum_qx / sum_qq, new_scale)
        new_offset = np.where(above_zero, np.float32(0), new_offset)
        err = error(new_scale, new_offset, q)
        better = (determinant > 0) & (err < least) & ~flat
        scale, offset = np.where(better, new_scale, scale), np.where(better, new_offset, offset)
        least = np.where(better, err, least)
        best_q = np.where(better[..., None], q, best_q)
    return np.where(flat, np.float32(0), scale), offset, np.where(flat[..., None], 0, best_q)


def first_least(x: Floats) -> Floats:
    """The least value along the last axis; of minus and plus zero, the one that comes first."""
    return np.take_along_axis(x, x.argmin(-1)[..., None], -1)[..., 0]
