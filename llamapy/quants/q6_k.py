"""Q6_K: 6 bits a weight, 16 groups of 16 with scales of 8 bits."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant
from .search import nearest_int
from .search_k import SMALLEST, fit_signed, largest


class Q6_K(Quant, id=14):
    """256 weights in 16 groups of 16: w = d * scale * (q - 32); q has 6 bits, scale 8 with a sign.

    In each half of the block, `ql` holds the low 4 bits of weights i and i + 64 in byte i, and `qh`
    the high 2 bits of weights i, i + 32, i + 64 and i + 96.
    """

    block, dot_with, importance = 256, "Q8_K", "optional"
    layout = np.dtype(
        [("ql", "u1", (2, 64)), ("qh", "u1", (2, 32)), ("scales", "i1", 16), ("d", "<f2")]
    )

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        low = np.stack([blocks["ql"] & 15, blocks["ql"] >> 4], 2).reshape(-1, 2, 4, 32)
        high = blocks["qh"][:, :, None] >> np.array([[0], [2], [4], [6]], np.uint8) & 3
        q = (low | high << 4).astype(np.int8) - np.int8(32)
        d = blocks["d"].astype(np.float32)[:, None] * blocks["scales"]
        return (d[..., None] * q.reshape(-1, 16, 16)).reshape(-1, 256)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        blocks = np.zeros((len(rows), rows.shape[1] // 256), Q6_K.layout)
        x = rows.reshape(*blocks.shape, 16, 16)
        weights = x * x if importance is None else importance.reshape(-1, 16, 16)
        scale, levels = fit_signed(x, weights, 32)
        most = largest(scale)
        factor = np.float32(-128) / most
        blocks["d"] = 1 / factor
        blocks["scales"] = np.minimum(nearest_int(factor[..., None] * scale), 127)
        d = (blocks["d"].astype(np.float32)[..., None] * blocks["scales"])[..., None]
        levels = np.where(d != 0, np.clip(nearest_int(x / d), -32, 31) + 32, levels)
        q = levels.reshape(*blocks.shape, 2, 4, 32)
        low = (q & 15).reshape(*blocks.shape, 2, 2, 64)
        blocks["ql"] = low[..., 0, :] | low[..., 1, :] << 4
        high = q >> 4
        blocks["qh"] = (
            high[..., 0, :] | high[..., 1, :] << 2 | high[..., 2, :] << 4 | high[..., 3, :] << 6
        )
        blocks[np.abs(most) < SMALLEST] = np.zeros((), Q6_K.layout)
        return blocks
