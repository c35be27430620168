"""IQ3_S: 3.44 bits a weight, groups of 4 on a codebook of 512 points, and every sign."""

from __future__ import annotations

import numpy as np

from ._grids import IQ3_S as BOOK
from .base import Blocks, Floats, Quant
from .search_grid import flip_negative, fold_signs, scale_steps, search_scale, sign_bits, weigh


class IQ3_S(Quant, id=21):
    """256 weights in 8 sub-blocks of 8 groups of 4: w = d * (2s + 1) * sign * value.

    s has 4 bits a sub-block. A group's 4 values, from 1, 3 ... 15, are a point of the codebook,
    whose number has 8 bits in `qs` and one in `qh`; a byte of `signs` belongs to two groups.
    """

    block, dot_with, importance = 256, "Q8_K", "optional"
    layout = np.dtype(
        [
            ("d", "<f2"),
            ("qs", "u1", (8, 8)),
            ("qh", "u1", 8),
            ("signs", "u1", (8, 4)),
            ("scales", "u1", 4),
        ]
    )

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        high = blocks["qh"][..., None] >> np.arange(8, dtype=np.uint8) & 1
        points = blocks["qs"] | high.astype(np.int32) << 8
        steps = (blocks["scales"][..., None] >> np.array([0, 4]) & 15).reshape(-1, 8)
        scale = blocks["d"].astype(np.float32)[:, None] * (1 + 2 * steps).astype(np.float32)
        size = scale[..., None, None] * (2 * BOOK.points[points] + 1).astype(np.float32)
        signs = sign_bits(blocks["signs"], even=False)
        return (size.reshape(signs.shape) * signs).reshape(-1, 256)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x, weight = weigh(rows, importance, spread=2, plain=0)
        blocks = np.zeros(x.shape[:2], IQ3_S.layout)
        x, weight = x.reshape(-1, 4, 8), weight.reshape(-1, 4, 8)
        x, signs = fold_signs(x, weight, even=False)
        x, weight = x.reshape(-1, 8, 4), weight.reshape(-1, 8, 4)
        reach = x.max((1, 2))
        points, scale = search_scale(
            BOOK, x, weight, reach, reach / np.float32(15), tries=9, step=0.2, again="all if moved"
        )
        scale, signs = flip_negative(scale, signs, 255)
        live = (reach > 0).reshape(*blocks.shape, 8)
        scales = np.where(live, scale.reshape(live.shape), 0)
        largest = scales.max(-1)
        points = np.where(live[..., None], points.reshape(*live.shape, 8), 0)
        blocks["qh"] = ((points >> 8) << np.arange(8)).sum(-1)
        # ggml's encoder writes nothing for a sub-block of zeros and the next one takes its place,
        # though the decoder does not know it: the bytes are kept the same
        order = np.argsort(~live, axis=-1, kind="stable")[..., None]
        signs = np.where(live[..., None], signs.reshape(*live.shape, 4), 0)
        blocks["qs"] = np.take_along_axis(points & 255, order, axis=2)
        blocks["signs"] = np.take_along_axis(signs, order, axis=2)
        steps = scale_steps(scales, largest, 15)
        blocks["scales"] = steps[..., 0::2] | steps[..., 1::2] << 4
        # a little larger than the sums say: the fit is better
        blocks["d"] = largest / np.float32(31) * np.float32(1.033)
        return blocks
