"""IQ2_S: 2.56 bits a weight, groups of 8 on a codebook of 1024 points, and every sign."""

from __future__ import annotations

import numpy as np

from ._grids import IQ2_S as BOOK
from .base import Blocks, Floats, Quant
from .search_grid import flip_negative, fold_signs, scale_steps, search_scale, sign_bits, weigh

VALUES = np.array([8, 25, 43], np.float32)


class IQ2_S(Quant, id=22):
    """256 weights in 16 sub-blocks of 2 groups of 8: w = d * (2s + 1) / 8 * sign * value.

    s has 4 bits a sub-block. A group's 8 values, from 8, 25 and 43, are a point of the codebook,
    whose number has 8 bits in `qs` and 2 in `qh`; a byte of `signs` belongs to each group.
    """

    block, dot_with, importance = 256, "Q8_K", "optional"
    layout = np.dtype(
        [("d", "<f2"), ("qs", "u1", 32), ("signs", "u1", 32), ("qh", "u1", 8), ("scales", "u1", 8)]
    )

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        high = (blocks["qh"][..., None] >> np.array([0, 2, 4, 6]) & 3).reshape(-1, 32)
        points = (blocks["qs"] | high.astype(np.int32) << 8).reshape(-1, 16, 2)
        signs = blocks["signs"].reshape(points.shape)
        steps = (blocks["scales"][..., None] >> np.array([0, 4]) & 15).reshape(-1, 16)
        d = blocks["d"].astype(np.float32)[:, None]
        scale = d * (np.float32(0.5) + steps.astype(np.float32)) * np.float32(0.25)
        size = scale[..., None, None] * VALUES[BOOK.points[points]]
        return (size * sign_bits(signs, even=False)).reshape(-1, 256)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x, weight = weigh(rows, importance, spread=2, plain=0.25)
        blocks = np.zeros(x.shape[:2], IQ2_S.layout)
        x, weight = x.reshape(-1, 2, 8), weight.reshape(-1, 2, 8)
        x, signs = fold_signs(x, weight, even=False)
        reach = x.max((1, 2))
        points, scale = search_scale(
            BOOK, x, weight, reach, reach / np.float32(5), tries=9, step=0.1, again="moved"
        )
        scale, signs = flip_negative(scale, signs, 255)
        live = reach >= np.float32(1e-8)
        scales = np.where(live, scale, 0).reshape(*blocks.shape, 16)
        largest = scales.max(-1)
        points = np.where(live[:, None], points, 0).reshape(*blocks.shape, 32)
        blocks["qs"] = points & 255
        blocks["qh"] = ((points >> 8).reshape(*blocks.shape, 8, 4) << np.arange(0, 8, 2)).sum(-1)
        blocks["signs"] = np.where(live[:, None], signs, 0).reshape(points.shape)
        steps = scale_steps(scales, largest, 15)
        blocks["scales"] = steps[..., 0::2] | steps[..., 1::2] << 4
        # a little smaller than the sums say: the fit is better
        blocks["d"] = largest / np.float32(31) * np.float32(0.9875)
        return blocks
