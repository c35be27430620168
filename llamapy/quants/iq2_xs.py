"""IQ2_XS: 2.31 bits a weight, groups of 8 on a codebook of 512 points."""

from __future__ import annotations

import numpy as np

from ._grids import IQ2_XS as BOOK
from .base import Blocks, Floats, Quant
from .search_grid import flip_negative, fold_signs, scale_steps, search_scale, sign_bits, weigh

VALUES = np.array([8, 25, 43], np.float32)


class IQ2_XS(Quant, id=17):
    """256 weights in 16 sub-blocks of 2 groups of 8: w = d * (2s + 1) / 8 * sign * value.

    s has 4 bits a sub-block. A group's 8 values, from 8, 25 and 43, are a point of the codebook,
    whose number has 9 bits; 7 bits above it hold the signs, and the eighth makes the count of minus
    even.
    """

    block, dot_with, importance = 256, "Q8_K", "required"
    layout = np.dtype([("d", "<f2"), ("qs", "<u2", (16, 2)), ("scales", "u1", 8)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        steps = (blocks["scales"][..., None] >> np.array([0, 4]) & 15).reshape(-1, 16)
        d = blocks["d"].astype(np.float32)[:, None]
        scale = d * (np.float32(0.5) + steps.astype(np.float32)) * np.float32(0.25)
        size = scale[..., None, None] * VALUES[BOOK.points[blocks["qs"] & 511]]
        return (size * sign_bits(blocks["qs"] >> 9, even=True)).reshape(-1, 256)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x, weight = weigh(rows, importance, spread=1, plain=0)
        blocks = np.zeros(x.shape[:2], IQ2_XS.layout)
        x, weight = x.reshape(-1, 2, 8), weight.reshape(-1, 2, 8)
        x, signs = fold_signs(x, weight, even=True)
        reach = x.max((1, 2))
        points, scale = search_scale(
            BOOK, x, weight, reach, reach / np.float32(5), tries=9, step=0.1, again="moved"
        )
        scale, signs = flip_negative(scale, signs, 127)
        live = reach >= np.float32(1e-15)
        scales = np.where(live, scale, 0).reshape(*blocks.shape, 16)
        largest = scales.max(-1)
        packed = np.where(live[:, None], points | signs << 9, 0).reshape(*scales.shape, 2)
        blocks["qs"] = np.where((largest > 0)[..., None, None], packed, 0)
        steps = scale_steps(scales, largest, 15)
        blocks["scales"] = steps[..., 0::2] | steps[..., 1::2] << 4
        blocks["d"] = largest / np.float32(31)
        return blocks
