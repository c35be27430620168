"""Q1_0: one bit a weight, its sign, and one scale for 128."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant, ordered_sum


class Q1_0(Quant, id=41):
    """128 weights: w = d where the bit is set, else -d; d is their mean size."""

    block, dot_with = 128, "Q8_0"
    layout = np.dtype([("d", "<f2"), ("qs", "u1", 16)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        d = blocks["d"].astype(np.float32)[:, None]
        return np.where(np.unpackbits(blocks["qs"], axis=-1, bitorder="little"), d, -d)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x = rows.reshape(len(rows), -1, Q1_0.block)
        blocks = np.zeros(x.shape[:2], Q1_0.layout)
        blocks["d"] = ordered_sum(np.abs(x)) / np.float32(Q1_0.block)
        blocks["qs"] = np.packbits(x >= 0, axis=-1, bitorder="little")
        return blocks
