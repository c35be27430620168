"""Q4_1: 4 bits a weight, a scale and an offset for 32."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant
from .packing import pack_halves, unpack_halves
from .search import inverse_or_zero, to_int
from .search_linear import first_least, row_weights, search_scale_offset


class Q4_1(Quant, id=3):
    """32 weights: w = d * q + m, with q in [0, 15]."""

    block, dot_with, importance = 32, "Q8_1", "optional"
    layout = np.dtype([("d", "<f2"), ("m", "<f2"), ("qs", "u1", 16)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        d, m = (blocks[field].astype(np.float32)[:, None] for field in "dm")
        return unpack_halves(blocks["qs"]).astype(np.float32) * d + m

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x = rows.reshape(len(rows), -1, Q4_1.block)
        blocks = np.zeros(x.shape[:2], Q4_1.layout)
        if importance is not None:
            d, m, q = search_scale_offset(x, row_weights(x, importance), 15)
        else:
            m = first_least(x)
            # the size of the difference, as that of two zeros can be minus zero
            d = np.abs(x.max(-1) - m) / np.float32(15)
            above = (x - m[..., None]) * inverse_or_zero(d)[..., None]
            q = np.minimum(to_int(above + np.float32(0.5)) & 255, 15)
        blocks["d"], blocks["m"], blocks["qs"] = d, m, pack_halves(q)
        return blocks
