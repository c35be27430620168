"""TQ2_0: -1, 0 or 1 for each weight in 2 bits, one scale for 256 (made for BitNet models)."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant
from .search import inverse_or_zero, round_away, to_int


class TQ2_0(Quant, id=35):
    """256 weights: w = d * (q - 1), with q in [0, 2]; a byte holds weights 32 apart."""

    block, dot_with = 256, "Q8_K"
    layout = np.dtype([("qs", "u1", (2, 32)), ("d", "<f2")])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
        q = (blocks["qs"][:, :, None, :] >> shifts) & 3  # [n, 2, 4, 32]
        whole = q.reshape(len(blocks), -1).astype(np.float32) - 1
        return whole * blocks["d"].astype(np.float32)[:, None]

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x = rows.reshape(len(rows), -1, TQ2_0.block)
        blocks = np.zeros(x.shape[:2], TQ2_0.layout)
        d = np.abs(x).max(-1)
        q = (to_int(round_away(x * inverse_or_zero(d)[..., None])) + 1) & 3
        planes = q.astype(np.uint8).reshape(*x.shape[:2], 2, 4, 32)
        shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
        blocks["d"], blocks["qs"] = d, np.bitwise_or.reduce(planes << shifts, axis=-2)
        return blocks
