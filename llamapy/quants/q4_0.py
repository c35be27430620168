"""Q4_0: 4 bits a weight, one scale for 32."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant
from .packing import pack_halves, unpack_halves
from .search import inverse_or_zero, largest_signed, to_int
from .search_linear import row_weights, search_scale


class Q4_0(Quant, id=2):
    """32 weights: w = d * (q - 8), with q in [0, 15]."""

    block, dot_with, importance = 32, "Q8_0", "optional"
    layout = np.dtype([("d", "<f2"), ("qs", "u1", 16)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        q = unpack_halves(blocks["qs"]).astype(np.float32) - 8
        return q * blocks["d"].astype(np.float32)[:, None]

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x = rows.reshape(len(rows), -1, Q4_0.block)
        blocks = np.zeros(x.shape[:2], Q4_0.layout)
        if importance is not None:
            d, q = search_scale(x, row_weights(x, importance), 8)
        else:
            d = largest_signed(x) / np.float32(-8)
            q = np.minimum(to_int(x * inverse_or_zero(d)[..., None] + np.float32(8.5)) & 255, 15)
        blocks["d"], blocks["qs"] = d, pack_halves(q)
        return blocks
