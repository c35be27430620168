"""BF16: the upper half of a float32."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant


class BF16(Quant, id=30):
    """A weight is the upper 16 bits of a float32: nearest, ties to even; a NaN is made quiet."""

    block, dot_with = 1, "BF16"
    layout = np.dtype([("w", "<u2")])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        return (blocks["w"].astype(np.uint32) << 16).view(np.float32)[:, None]

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        blocks = np.zeros(rows.shape, BF16.layout)
        bits = rows.view(np.uint32)
        upper = bits >> 16
        rounded = (bits + (0x7FFF + (upper & 1))) >> 16
        blocks["w"] = np.where(np.isnan(rows), upper | 64, rounded)
        return blocks
