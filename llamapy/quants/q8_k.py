"""Q8_K: 8 bits a weight and the sums of 16: how activations meet the other K formats."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant
from .search import nearest_int
from .search_k import largest


class Q8_K(Quant, id=15):
    """256 weights: w = d * q, with q in [-127, 127], and in `bsums` the sum of each 16 of them.

    The weight farthest from zero gets -127, whatever its sign.
    """

    block = 256
    layout = np.dtype([("d", "<f4"), ("qs", "i1", 256), ("bsums", "<i2", 16)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        return blocks["d"][:, None] * blocks["qs"]

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        blocks = np.zeros((len(rows), rows.shape[1] // 256), Q8_K.layout)
        x = rows.reshape(*blocks.shape, 256)
        most = largest(x)
        used = most != 0
        factor = np.divide(np.float32(-127), most, out=np.zeros_like(most), where=used)
        blocks["d"] = np.divide(1, factor, out=np.zeros_like(most), where=used)
        blocks["qs"] = np.minimum(nearest_int(x * factor[..., None]), 127)
        blocks["bsums"] = blocks["qs"].reshape(*blocks.shape, 16, 16).sum(-1, dtype=np.int16)
        return blocks
