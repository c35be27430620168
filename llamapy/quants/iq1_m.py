"""IQ1_M: 1.75 bits a weight, groups of 8 on a codebook of 2048 points, an offset for each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import QuantizationError
from ._grids import IQ1 as BOOK
from .base import Blocks, Bytes, Floats, Quant
from .search_grid import (
    ABOVE,
    BELOW,
    OFFSET,
    BestSplit,
    Ints,
    fit_offset_scale,
    refit,
    running_sums,
    scale_steps,
    snap,
    sort_values,
    weigh,
)

SHIFTS = np.arange(4) * 3


class IQ1_M(Quant, id=29):
    """256 weights in 16 sub-blocks of 2 groups of 8: w = d * (2s + 1) * (level + offset).

    A group's 8 levels, from -1, 0 and 1, are a point of the codebook, whose number has 8 bits in
    `qs` and 3 in `qh`, where the fourth is set when the group's offset is -1/8 and not 1/8. A word
    of `scales` holds the s, of 3 bits, of 4 sub-blocks, and above them 4 of the 16 bits of d.
    """

    block, dot_with, importance = 256, "Q8_K", "optional"
    layout = np.dtype([("qs", "u1", (16, 2)), ("qh", "u1", 16), ("scales", "<u2", 4)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        steps = (blocks["scales"][..., None] >> SHIFTS & 7).reshape(-1, 16)
        d = block_scale(blocks).astype(np.float32)
        scale = d[:, None] * (2 * steps + 1).astype(np.float32)
        qh = blocks["qh"][..., None] >> np.array([0, 4])
        points = blocks["qs"] | (qh & 7).astype(np.int64) << 8
        offset = np.where(qh & 8, -OFFSET, OFFSET)[..., None]
        values = BOOK.points[points].astype(np.float32) - np.float32(1) + offset
        return (scale[..., None, None] * values).reshape(-1, 256)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x, weight = weigh(rows, importance, spread=2, plain=0)
        blocks = np.zeros(x.shape[:2], IQ1_M.layout)
        x, weight = x.reshape(-1, 16), weight.reshape(-1, 16)
        best, levels = split(x, weight)
        found = (np.abs(x).max(-1) >= np.float32(1e-7)) & (best.kind >= 0)
        lower = np.stack([best.kind >> 1, best.kind & 1], -1) ^ (best.scale < 0)[:, None]
        lower = np.where(found[:, None], lower, 0)
        values = np.where(lower[..., None], BELOW, ABOVE)
        x, weight = x.reshape(-1, 2, 8), weight.reshape(-1, 2, 8)
        scale = np.abs(best.scale)
        points, moved = snap(BOOK, levels.reshape(x.shape), x, weight, scale, values)
        scale = refit(BOOK, points, moved, x, weight, scale, values)
        points = np.where(found[:, None], points, 0)
        scales = np.where(found, scale, 0).reshape(*blocks.shape, 16)
        largest = scales.max(-1)
        steps = scale_steps(scales, largest, 7)
        some = (largest > 0)[..., None]

        # with everything else chosen, the sums over the whole block give d
        odd = (2 * steps + 1).astype(np.float32).reshape(-1, 1, 1)
        q = np.take_along_axis(values, BOOK.points[points], -1) * odd
        xq, qq = fit_offset_scale(*(part.reshape(-1, 256) for part in (x, weight, q)))
        d = np.where(qq > 0, xq / qq, (largest / np.float32(15)).reshape(-1))
        d = (d * np.float32(1.1125)).reshape(largest.shape).astype(np.float16)
        bits = np.where(some, d.view(np.uint16)[..., None], 0).astype(np.int64)

        blocks["qs"] = points.reshape(*scales.shape, 2) & 255
        high = points >> 8 | np.where(some, lower.reshape(*blocks.shape, 32), 0).reshape(-1, 2) << 3
        blocks["qh"] = (high << np.array([0, 4])).sum(-1).reshape(scales.shape)
        low = (steps.reshape(*blocks.shape, 4, 4) << SHIFTS).sum(-1)
        blocks["scales"] = low | (bits >> np.arange(0, 16, 4) & 15) << 12
        return blocks

    @classmethod
    def _check_scales(cls, raw: Bytes, first: int) -> None:
        wrong = ~np.isfinite(block_scale(raw.view(cls.layout)))
        if wrong.any():
            row = first + int(np.argwhere(wrong)[0][0])
            raise QuantizationError(
                f"row {row} holds values too large for IQ1_M, whose scale of a block is float16: "
                f"scale the tensor down, or keep it in F32"
            )


def block_scale(blocks: Blocks) -> NDArray[np.float16]:
    """d of each block: its 16 bits are the highest 4 of each word of `scales`."""
    parts = (blocks["scales"].astype(np.int64) >> 12) << np.arange(0, 16, 4)
    return parts.sum(-1).astype(np.uint16).view(np.float16)


def split(x: Floats, weight: Floats) -> tuple[BestSplit, Ints]:
    """The best levels for the sorted values of each sub-block, its halves with either offset."""
    size = x.shape[1]
    order = sort_values(x)
    halves = [order // 8 == half for half in (0, 1)]
    wx = np.take_along_axis(weight * x, order, 1)
    w = np.take_along_axis(weight, order, 1)
    sx = [running_sums(np.where(half, wx, 0)) for half in halves]
    sw = [running_sums(np.where(half, w, 0)) for half in halves]
    best = BestSplit(len(x))
    for first in range(size + 1):
        for second in range(first, size + 1):
            xq, qq = (np.empty((2, 2, len(x)), np.float32) for _ in range(2))
            for half in (0, 1):
                below = sx[half][:, first] + sx[half][:, second]
                for lower, q in enumerate((ABOVE, BELOW)):
                    xq[half][lower] = sx[half][:, size] * q[2] - below
                    qq[half][lower] = (
                        sw[half][:, size] * q[2] * q[2]
                        + sw[half][:, first] * (q[0] * q[0] - q[1] * q[1])
                        + sw[half][:, second] * (q[1] * q[1] - q[2] * q[2])
                    )
            for kind in range(4):
                one, two = divmod(kind, 2)
                best.offer(xq[0][one] + xq[1][two], qq[0][one] + qq[1][two], first, second, kind)
    return best, best.levels(order)
