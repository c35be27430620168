"""IQ4_XS: the uneven table of IQ4_NL, with a 6-bit scale for every 32 of 256 weights."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant
from .iq4_nl import TABLE, group_weights, nearest_entry, search_table_scale
from .packing import pack_halves, unpack_halves
from .search import inverse_or_zero, largest_signed, nearest_int


class IQ4_XS(Quant, id=23):
    """256 weights in eight groups of 32: w = d * (scale - 32) * TABLE[q].

    The low four bits of the 6-bit scales are in scales_l, the high two in scales_h.
    """

    block, dot_with, importance = 256, "Q8_K", "optional"
    layout = np.dtype(
        [("d", "<f2"), ("scales_h", "<u2"), ("scales_l", "u1", 4), ("qs", "u1", (8, 16))]
    )

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        low = blocks["scales_l"][..., None] >> np.array([0, 4], np.uint8) & 15
        high = blocks["scales_h"][:, None] >> np.arange(0, 16, 2, dtype=np.uint16) & 3
        scale = (low.reshape(-1, 8) | (high << 4)).astype(np.float32) - 32
        scale = blocks["d"].astype(np.float32)[:, None] * scale
        return (scale[..., None] * TABLE[unpack_halves(blocks["qs"])]).reshape(len(blocks), -1)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x = rows.reshape(len(rows), -1, 8, 32)
        blocks = np.zeros(x.shape[:2], IQ4_XS.layout)
        if importance is not None:
            importance = importance.reshape(-1, 8, 32)
        wanted = search_table_scale(x, group_weights(x, importance))
        d = -largest_signed(wanted) / np.float32(32)
        scale = np.clip(nearest_int(inverse_or_zero(d)[..., None] * wanted), -32, 31)
        inverse = inverse_or_zero(d[..., None] * scale.astype(np.float32))
        scale = (scale + 32).astype(np.uint16)
        blocks["d"] = d
        blocks["scales_l"] = (scale[..., 0::2] & 15) | (scale[..., 1::2] & 15) << 4
        high = (scale >> 4) << np.arange(0, 16, 2, dtype=np.uint16)
        blocks["scales_h"] = np.bitwise_or.reduce(high, axis=-1)
        blocks["qs"] = pack_halves(nearest_entry(inverse[..., None] * x))
        return blocks
