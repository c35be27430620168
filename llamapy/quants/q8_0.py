"""Q8_0: 8 bits a weight, one scale for 32."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant
from .search import inverse_or_zero, round_away, to_int


class Q8_0(Quant, id=8):
    """32 weights: w = d * q, with q in [-127, 127]."""

    block, dot_with = 32, "Q8_0"
    layout = np.dtype([("d", "<f2"), ("qs", "i1", 32)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        return blocks["d"].astype(np.float32)[:, None] * blocks["qs"]

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x = rows.reshape(len(rows), -1, Q8_0.block)
        blocks = np.zeros(x.shape[:2], Q8_0.layout)
        d = np.abs(x).max(-1) / np.float32(127)
        blocks["d"] = d
        blocks["qs"] = to_int(round_away(x * inverse_or_zero(d)[..., None])).astype(np.int8)
        return blocks
