"""Q5_0: 5 bits a weight, one scale for 32."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant
from .packing import pack_fifth_bits, pack_halves, unpack_fifth_bits, unpack_halves
from .search import inverse_or_zero, largest_signed, to_int
from .search_linear import row_weights, search_scale


class Q5_0(Quant, id=6):
    """32 weights: w = d * (q - 16), with q in [0, 31]; qh holds the fifth bits."""

    block, dot_with, importance = 32, "Q8_0", "optional"
    layout = np.dtype([("d", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        q = unpack_halves(blocks["qs"]) | unpack_fifth_bits(blocks["qh"])
        return (q.astype(np.float32) - 16) * blocks["d"].astype(np.float32)[:, None]

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x = rows.reshape(len(rows), -1, Q5_0.block)
        blocks = np.zeros(x.shape[:2], Q5_0.layout)
        if importance is not None:
            d, q = search_scale(x, row_weights(x, importance), 16)
        else:
            d = largest_signed(x) / np.float32(-16)
            q = np.minimum(to_int(x * inverse_or_zero(d)[..., None] + np.float32(16.5)) & 255, 31)
        blocks["d"], blocks["qh"], blocks["qs"] = d, pack_fifth_bits(q), pack_halves(q)
        return blocks
