"""Q2_K: 2 bits a weight, 16 groups of 16 with scales and minima of 4 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Blocks, Bytes, Floats, Quant, ordered_sum
from .search import nearest_int
from .search_k import Levels, fit_affine, fit_positive, spread, trials

TRIALS = trials(-0.5, 0.1, 15)
WEIGHTED_TRIALS = trials(-0.9, 0.05, 36)


class Q2_K(Quant, id=10):
    """256 weights in 16 groups of 16: w = d * scale * q - dmin * min; q has 2 bits, the others 4.

    A byte of `scales` holds a group's scale in its low half and its minimum in its high half.
    """

    block, dot_with, importance = 256, "Q8_K", "optional"
    layout = np.dtype([("scales", "u1", 16), ("qs", "u1", (2, 32)), ("d", "<f2"), ("dmin", "<f2")])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        d, low = group_scales(blocks)
        q = unpack_quarters(blocks["qs"]).reshape(-1, 16, 16)
        return (d[..., None] * q - low[..., None]).reshape(-1, 256)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        blocks = np.zeros((len(rows), rows.shape[1] // 256), Q2_K.layout)
        x = rows.reshape(*blocks.shape, 16, 16)
        if importance is None:
            scale, low, levels = fit_affine(x, np.abs(x), 3, TRIALS, absolute=True)
            halves = [_store_scales(blocks, "d", scale), _store_scales(blocks, "dmin", -low)]
        else:
            whole = rows.reshape(*blocks.shape, 256)
            weights = spread(whole, importance.reshape(-1, 256), 1).reshape(x.shape)
            scale, low, levels = fit_affine(x, weights, 3, WEIGHTED_TRIALS)
            total = ordered_sum(weights)
            blocks["d"], scales = fit_positive(scale, total, 15)
            blocks["dmin"], minima = fit_positive(-low, total, 15)
            halves = [scales, minima]
        blocks["scales"] = halves[0] | halves[1] << 4
        d, low = (values[..., None] for values in group_scales(blocks))
        levels = np.where(d != 0, np.clip(nearest_int((x + low) / d), 0, 3), levels)
        blocks["qs"] = pack_quarters(levels)
        return blocks


def group_scales(blocks: Blocks) -> tuple[Floats, Floats]:
    """What a group's levels are multiplied with, and what is then taken off."""
    scales, minima = blocks["scales"] & 15, blocks["scales"] >> 4
    d = blocks["d"].astype(np.float32)[..., None] * scales
    return d, blocks["dmin"].astype(np.float32)[..., None] * minima


def _store_scales(blocks: Blocks, field: str, values: Floats) -> Levels:
    """Store the block's scale for these values, the largest of which gets 15."""
    most = np.maximum(values.max(-1), np.float32(0))
    blocks[field] = most / np.float32(15)
    inverse = np.divide(np.float32(15), most, out=np.zeros_like(most), where=most > 0)
    return nearest_int(inverse[..., None] * values)


# ---- 2 bits a weight, as Q3_K has them too


def pack_quarters(levels: Levels) -> NDArray[np.int32]:
    """256 levels of 2 bits in 64 bytes: byte i of a half holds its weights i, i + 32, 64, 96."""
    q = levels.reshape(*levels.shape[:-2], 2, 4, 32)
    return q[..., 0, :] | q[..., 1, :] << 2 | q[..., 2, :] << 4 | q[..., 3, :] << 6


def unpack_quarters(packed: Bytes) -> Bytes:
    """[n, 2, 32] bytes to levels [n, 2, 4, 32]."""
    return packed[:, :, None] >> np.array([[0], [2], [4], [6]], np.uint8) & np.uint8(3)
