"""Q5_K: 5 bits a weight, with Q4_K's scales and minima."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant
from .q4_k import decode_groups, encode_groups, encode_weighted_groups
from .search_k import trials

TRIALS = trials(-0.5, 0.1, 15)


class Q5_K(Quant, id=13):
    """256 weights in 8 groups of 32: w = d * scale * q - dmin * min; q has 5 bits, scale and min 6.

    As Q4_K, and the fifth bits lie in `qh`: bit j of byte i belongs to weight i of group j.
    """

    block, dot_with, importance = 256, "Q8_K", "optional"
    layout = np.dtype(
        [
            ("d", "<f2"),
            ("dmin", "<f2"),
            ("scales", "u1", 12),
            ("qh", "u1", 32),
            ("qs", "u1", (4, 32)),
        ]
    )

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        low = np.stack([blocks["qs"] & 15, blocks["qs"] >> 4], 2).reshape(-1, 8, 32)
        high = np.unpackbits(blocks["qh"][:, None], axis=1, bitorder="little")  # [n, 8, 32]
        return decode_groups(blocks, low | high << 4)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        blocks = np.zeros((len(rows), rows.shape[1] // 256), Q5_K.layout)
        if importance is None:
            levels = encode_groups(blocks, rows, 31, TRIALS)
        else:
            levels = encode_weighted_groups(blocks, rows, importance, 31, 63)
        q = (levels & 15).reshape(*blocks.shape, 4, 2, 32)
        blocks["qs"] = q[..., 0, :] | q[..., 1, :] << 4
        blocks["qh"] = np.packbits(levels > 15, axis=-2, bitorder="little")[..., 0, :]
        return blocks
