"""Q2_0: 2 bits a weight, one scale for 64."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant
from .search import inverse_or_zero, round_away, to_int


class Q2_0(Quant, id=42):
    """64 weights: w = d * (q - 1), with q in [0, 3]; the encoder never needs 3."""

    block, dot_with = 64, "Q8_0"
    layout = np.dtype([("d", "<f2"), ("qs", "u1", 16)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        shifts = np.arange(0, 8, 2, dtype=np.uint8)
        q = ((blocks["qs"][..., None] >> shifts) & 3).reshape(len(blocks), -1)
        return (q.astype(np.float32) - 1) * blocks["d"].astype(np.float32)[:, None]

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x = rows.reshape(len(rows), -1, Q2_0.block)
        blocks = np.zeros(x.shape[:2], Q2_0.layout)
        d = np.abs(x).max(-1)
        q = np.clip(to_int(round_away(x * inverse_or_zero(d)[..., None])) + 1, 0, 3)
        fours = q.astype(np.uint8).reshape(*d.shape, 16, 4)
        shifts = np.arange(0, 8, 2, dtype=np.uint8)
        blocks["d"], blocks["qs"] = d, np.bitwise_or.reduce(fours << shifts, axis=-1)
        return blocks
