"""Q3_K: 3 bits a weight, 16 groups of 16 with scales of 6 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Blocks, Bytes, Floats, Quant, ordered_sum
from .q2_k import pack_quarters, unpack_quarters
from .search import nearest_int
from .search_k import Levels, fit_signed, fit_signed_by_descent, largest, spread


class Q3_K(Quant, id=11):
    """256 weights in 16 groups of 16: w = d * (scale - 32) * (q - 4); q has 3 bits, scale 6.

    `qs` holds the low 2 bits; the third, in `hmask`, is set for q >= 4: bit j of byte i belongs to
    weight 32 * j + i.
    """

    block, dot_with, importance = 256, "Q8_K", "optional"
    layout = np.dtype(
        [("hmask", "u1", 32), ("qs", "u1", (2, 32)), ("scales", "u1", 12), ("d", "<f2")]
    )

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        low = unpack_quarters(blocks["qs"]).reshape(-1, 8, 32)
        high = np.unpackbits(blocks["hmask"][:, None], axis=1, bitorder="little")  # [n, 8, 32]
        q = (low | high << 2).astype(np.int8) - np.int8(4)
        return (group_scales(blocks)[..., None] * q.reshape(-1, 16, 16)).reshape(-1, 256)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        blocks = np.zeros((len(rows), rows.shape[1] // 256), Q3_K.layout)
        x = rows.reshape(*blocks.shape, 16, 16)
        if importance is None:
            scale, levels = fit_signed_by_descent(x, 4)
            blocks["d"], stored = _round_scales(scale)
        else:
            whole = rows.reshape(*blocks.shape, 256)
            weights = spread(whole, importance.reshape(-1, 256), 2).reshape(x.shape)
            scale, levels = fit_signed(x, weights, 4)
            blocks["d"], stored = fit_signed(scale, ordered_sum(weights), 32)
        blocks["scales"] = pack_scales(stored)
        d = group_scales(blocks)[..., None]
        levels = np.where(d != 0, np.clip(nearest_int(x / d), -4, 3) + 4, levels)
        blocks["qs"] = pack_quarters(levels & 3)
        high = (levels > 3).reshape(*blocks.shape, 8, 32)
        blocks["hmask"] = np.packbits(high, axis=-2, bitorder="little")[..., 0, :]
        return blocks


def group_scales(blocks: Blocks) -> Floats:
    """What a group's levels are multiplied with."""
    scales = unpack_scales(blocks["scales"]).astype(np.int8) - np.int8(32)
    return blocks["d"].astype(np.float32)[..., None] * scales


def _round_scales(scale: Floats) -> tuple[Floats, Levels]:
    """The block's scale and the groups', so that the one farthest from zero gets -32 (stored as 0).

    A block of zeros stores zeros.
    """
    most = largest(scale)
    factor = np.float32(-32) / most
    stored = nearest_int(factor[..., None] * scale).astype(np.int8)
    levels = np.clip(stored.astype(np.int32), -32, 31) + 32
    used = most != 0
    return np.where(used, 1 / factor, np.float32(0)), np.where(used[..., None], levels, 0)


def pack_scales(scales: Levels) -> NDArray[np.int32]:
    """16 scales of 6 bits in 12 bytes: 8 bytes of low halves, and 4 of the 2 high bits."""
    low, high = scales & 15, (scales >> 4).reshape(*scales.shape[:-1], 4, 4)
    highs = high[..., 0, :] | high[..., 1, :] << 2 | high[..., 2, :] << 4 | high[..., 3, :] << 6
    return np.concatenate([low[..., :8] | low[..., 8:] << 4, highs], -1)


def unpack_scales(packed: Bytes) -> Bytes:
    """The 16 scales in 12 bytes."""
    low = np.concatenate([packed[..., :8] & 15, packed[..., :8] >> 4], -1)
    high = packed[..., None, 8:] >> np.array([[0], [2], [4], [6]], np.uint8) & 3
    return low | high.reshape(low.shape) << 4
