"""IQ1_S: 1.56 bits a weight, groups of 8 on a codebook of 2048 points."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ._grids import IQ1 as BOOK
from .base import Blocks, Floats, Quant
from .search_grid import (
    ABOVE,
    BELOW,
    OFFSET,
    BestSplit,
    Ints,
    refit,
    running_sums,
    scale_steps,
    snap,
    sort_values,
    weigh,
)


class IQ1_S(Quant, id=19):
    """256 weights in 8 sub-blocks of 4 groups of 8: w = d * (2s + 1) * (level + offset).

    A group's 8 levels, from -1, 0 and 1, are a point of the codebook, whose number has 8 bits in
    `qs` and 3 in `qh`. Above four times those 3 bits, `qh` holds the sub-block's s, of 3 bits, and
    one that is set when the offset is -1/8 and not 1/8.
    """

    block, dot_with, importance = 256, "Q8_K", "required"
    layout = np.dtype([("d", "<f2"), ("qs", "u1", (8, 4)), ("qh", "<u2", 8)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        qh = blocks["qh"].astype(np.int64)
        points = blocks["qs"] | (qh[..., None] >> np.arange(0, 12, 3) & 7) << 8
        steps = (2 * (qh >> 12 & 7) + 1).astype(np.float32)
        scale = blocks["d"].astype(np.float32)[:, None] * steps
        offset = np.where(qh >> 15, -OFFSET, OFFSET)
        values = BOOK.points[points].astype(np.float32) - np.float32(1) + offset[..., None, None]
        return (scale[..., None, None] * values).reshape(-1, 256)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x, weight = weigh(rows, importance, spread=2, plain=0)
        blocks = np.zeros(x.shape[:2], IQ1_S.layout)
        x, weight = x.reshape(-1, 32), weight.reshape(-1, 32)
        best, levels = split(x, weight)
        found = (np.abs(x).max(-1) >= np.float32(1e-12)) & (best.kind >= 0)
        lower = (best.kind == 1) ^ (best.scale < 0)
        values = np.where(lower[:, None], BELOW, ABOVE)[:, None]
        x, weight = x.reshape(-1, 4, 8), weight.reshape(-1, 4, 8)
        scale = np.abs(best.scale)
        points, moved = snap(BOOK, levels.reshape(x.shape), x, weight, scale, values)
        scale = refit(BOOK, points, moved, x, weight, scale, np.repeat(values, 4, 1))
        scales = np.where(found, scale, 0).reshape(*blocks.shape, 8)
        largest = scales.max(-1)
        points = np.where(found[:, None], points, 0).reshape(*scales.shape, 4)
        lower = (found & lower).reshape(scales.shape) & (largest > 0)[..., None]
        blocks["qs"] = points & 255
        high = ((points >> 8) << np.arange(0, 12, 3)).sum(-1)
        blocks["qh"] = high | scale_steps(scales, largest, 7) << 12 | lower << 15
        # a little larger than the sums say: the fit is better
        blocks["d"] = largest / np.float32(15) * np.float32(1.125)
        return blocks


def split(x: Floats, weight: Floats) -> tuple[BestSplit, Ints]:
    """The best three levels for the sorted values of each sub-block, with both offsets tried."""
    size = x.shape[1]
    order = sort_values(x)
    sx = running_sums(np.take_along_axis(weight * x, order, 1))
    sw = running_sums(np.take_along_axis(weight, order, 1))
    best = BestSplit(len(x))
    for first in range(size + 1):
        for second in range(first, size + 1):
            edges = (0, first, second, size)
            xs = [sx[:, b] - sx[:, a] for a, b in pairwise(edges)]
            ws = [sw[:, b] - sw[:, a] for a, b in pairwise(edges)]
            for kind, q in enumerate((ABOVE, BELOW)):
                xq = xs[0] * q[0] + xs[1] * q[1] + xs[2] * q[2]
                qq = ws[0] * q[0] * q[0] + ws[1] * q[1] * q[1] + ws[2] * q[2] * q[2]
                best.offer(xq, qq, first, second, kind)
    return best, best.levels(order)
