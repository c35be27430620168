"""Q8_1: 8 bits a weight, one scale for 32 and the sum of what they stand for.

It holds activations while they meet Q4_1 and Q5_1 weights, whose offset times that sum is a part
of the product.
"""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant
from .search import inverse_or_zero, round_away, to_int


class Q8_1(Quant, id=9):
    """32 weights: w = d * q, with q in [-127, 127], and s = d * (the sum of q)."""

    block, dot_with = 32, "Q8_1"
    layout = np.dtype([("d", "<f2"), ("s", "<f2"), ("qs", "i1", 32)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        return blocks["d"].astype(np.float32)[:, None] * blocks["qs"]

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x = rows.reshape(len(rows), -1, Q8_1.block)
        blocks = np.zeros(x.shape[:2], Q8_1.layout)
        d = np.abs(x).max(-1) / np.float32(127)
        q = to_int(round_away(x * inverse_or_zero(d)[..., None])).astype(np.int8)
        blocks["d"], blocks["qs"] = d, q
        blocks["s"] = q.sum(-1, dtype=np.int32).astype(np.float32) * d
        return blocks
