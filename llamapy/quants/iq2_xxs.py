"""IQ2_XXS: 2.06 bits a weight, groups of 8 on a codebook of 256 points."""

from __future__ import annotations

import numpy as np

from ._grids import IQ2_XXS as BOOK
from .base import Blocks, Floats, Quant
from .search_grid import (
    flip_negative,
    fold_signs,
    scale_steps,
    search_scale,
    sign_bits,
    weigh,
)
from .search_k import fit_positive

VALUES = np.array([8, 25, 43], np.float32)


class IQ2_XXS(Quant, id=16):
    """256 weights in 8 sub-blocks of 4 groups of 8: w = d * (2s + 1) / 8 * sign * value.

    s has 4 bits a sub-block. A group's 8 values, from 8, 25 and 43, are a point of the codebook,
    whose number has 8 bits; 7 bits hold its signs, and the eighth makes the count of minus even.
    A sub-block is two words: four point numbers, then four times 7 sign bits under s.
    """

    block, dot_with, importance = 256, "Q8_K", "required"
    layout = np.dtype([("d", "<f2"), ("qs", "<u4", (8, 2))])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        points = blocks["qs"][..., 0, None] >> np.arange(0, 32, 8, dtype=np.uint32) & 255
        packed = blocks["qs"][..., 1]
        signs = packed[..., None] >> np.arange(0, 28, 7, dtype=np.uint32) & 127
        d = blocks["d"].astype(np.float32)[:, None]
        scale = d * (np.float32(0.5) + (packed >> 28).astype(np.float32)) * np.float32(0.25)
        size = scale[..., None, None] * VALUES[BOOK.points[points]]
        return (size * sign_bits(signs, even=True)).reshape(-1, 256)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x, weight = weigh(rows, importance, spread=1, plain=0)
        blocks = np.zeros(x.shape[:2], IQ2_XXS.layout)
        x, weight = x.reshape(-1, 4, 8), weight.reshape(-1, 4, 8)
        x, signs = fold_signs(x, weight, even=True)
        start, _ = fit_positive(x.reshape(-1, 32), weight.reshape(-1, 32), 4)
        reach = start * np.float32(3)
        points, scale = search_scale(BOOK, x, weight, reach, start, tries=6, step=0.1, again="all")
        scale, signs = flip_negative(scale, signs, 127)
        live = (x.max((1, 2)) >= np.float32(1e-15)) & ~(reach <= 0)
        scales = np.where(live, scale, 0).reshape(*blocks.shape, 8)
        largest = scales.max(-1)
        live = live.reshape(scales.shape) & (largest > 0)[..., None]
        packed = (points.reshape(*scales.shape, 4) << np.arange(0, 32, 8)).sum(-1)
        blocks["qs"][..., 0] = np.where(live, packed, 0)
        packed = (signs.reshape(*scales.shape, 4) << np.arange(0, 28, 7)).sum(-1)
        packed = np.where(live, packed, 0) | scale_steps(scales, largest, 15).astype(np.int64) << 28
        blocks["qs"][..., 1] = packed
        blocks["d"] = largest / np.float32(31)
        return blocks
