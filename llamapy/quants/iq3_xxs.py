"""IQ3_XXS: 3.06 bits a weight, groups of 4 on a codebook of 256 points."""

from __future__ import annotations

import numpy as np

from ._grids import IQ3_XXS as BOOK
from .base import Blocks, Floats, Quant
from .search_grid import flip_negative, fold_signs, scale_steps, search_scale, sign_bits, weigh

VALUES = np.array([4, 12, 20, 28, 36, 44, 52, 62], np.float32)


class IQ3_XXS(Quant, id=18):
    """256 weights in 8 sub-blocks of 8 groups of 4: w = d * (2s + 1) / 4 * sign * value.

    s has 4 bits a sub-block. A group's 4 values, from 4, 12 ... 52 and 62, are a point of the
    codebook, whose number has 8 bits. Two groups share 7 sign bits, and the eighth makes the count
    of minus even: a word of `signs` holds four times 7 of them under s.
    """

    block, dot_with, importance = 256, "Q8_K", "optional"
    layout = np.dtype([("d", "<f2"), ("qs", "u1", (8, 8)), ("signs", "<u4", 8)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        packed = blocks["signs"]
        signs = packed[..., None] >> np.arange(0, 28, 7, dtype=np.uint32) & 127
        d = blocks["d"].astype(np.float32)[:, None]
        scale = d * (np.float32(0.5) + (packed >> 28).astype(np.float32)) * np.float32(0.5)
        size = scale[..., None, None] * VALUES[BOOK.points[blocks["qs"]]]
        return (size.reshape(-1, 8, 4, 8) * sign_bits(signs, even=True)).reshape(-1, 256)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x, weight = weigh(rows, importance, spread=2, plain=0)
        blocks = np.zeros(x.shape[:2], IQ3_XXS.layout)
        x, weight = x.reshape(-1, 4, 8), weight.reshape(-1, 4, 8)
        x, signs = fold_signs(x, weight, even=True)
        x, weight = x.reshape(-1, 8, 4), weight.reshape(-1, 8, 4)
        reach = x.max((1, 2))
        points, scale = search_scale(
            BOOK, x, weight, reach, reach / np.float32(15), tries=15, step=0.2, again="moved"
        )
        scale, signs = flip_negative(scale, signs, 127)
        live = reach >= np.float32(1e-8)
        scales = np.where(live, scale, 0).reshape(*blocks.shape, 8)
        largest = scales.max(-1)
        live = live.reshape(scales.shape) & (largest > 0)[..., None]
        blocks["qs"] = np.where(live[..., None], points.reshape(*scales.shape, 8), 0)
        packed = (signs.reshape(*scales.shape, 4) << np.arange(0, 28, 7)).sum(-1)
        steps = scale_steps(scales, largest, 15).astype(np.int64)
        blocks["signs"] = np.where(live, packed, 0) | steps << 28
        # a little larger than the sums say: the fit is better
        blocks["d"] = largest / np.float32(31) * np.float32(1.0125)
        return blocks
