"""Q4_K: 4 bits a weight, 8 groups of 32 with scales and minima of 6 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Blocks, Bytes, Floats, Quant, ordered_sum
from .search import nearest_int
from .search_k import Levels, fit_affine, fit_positive, spread, trials

TRIALS = trials(-1.0, 0.1, 20)
WEIGHTED_TRIALS = trials(-0.9, 0.05, 36)


class Q4_K(Quant, id=12):
    """256 weights in 8 groups of 32: w = d * scale * q - dmin * min; q has 4 bits, scale and min 6.

    The high halves of two groups share a byte of `qs`; the scales and minima of the last four
    groups are cut into 4 low bits and the 2 spare bits of the first four.
    """

    block, dot_with, importance = 256, "Q8_K", "optional"
    layout = np.dtype([("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("qs", "u1", (4, 32))])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        q = np.stack([blocks["qs"] & 15, blocks["qs"] >> 4], 2)  # [n, 4, 2, 32]
        return decode_groups(blocks, q.reshape(-1, 8, 32))

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        blocks = np.zeros((len(rows), rows.shape[1] // 256), Q4_K.layout)
        if importance is None:
            levels = encode_groups(blocks, rows, 15, TRIALS)
        else:
            levels = encode_weighted_groups(blocks, rows, importance, 15, 255)
        q = levels.reshape(*blocks.shape, 4, 2, 32)
        blocks["qs"] = q[..., 0, :] | q[..., 1, :] << 4
        return blocks


# ---- what Q4_K and Q5_K share: 8 groups of 32, with pairs of a scale and a minimum


def decode_groups(blocks: Blocks, q: NDArray[np.uint8]) -> Floats:
    """The weights, from the levels [n, 8, 32]."""
    scales, minima = unpack_pairs(blocks["scales"])
    d = blocks["d"].astype(np.float32)[:, None] * scales
    low = blocks["dmin"].astype(np.float32)[:, None] * minima
    return (d[..., None] * q - low[..., None]).reshape(-1, 256)


def encode_groups(blocks: Blocks, rows: Floats, top: int, offsets: Floats) -> Levels:
    """Fill in the scales; the largest scale and the largest minimum of a block get 63."""
    x = rows.reshape(*blocks.shape, 8, 32)
    mean = np.sqrt(ordered_sum(x * x) / np.float32(32))
    scale, low, levels = fit_affine(x, mean[..., None] + np.abs(x), top, offsets)
    pairs = []
    for field, values in (("d", scale), ("dmin", -low)):
        most = np.maximum(values.max(-1), np.float32(0))
        inverse = np.divide(np.float32(63), most, out=np.zeros_like(most), where=most > 0)
        stored = nearest_int(inverse[..., None] * values).astype(np.uint8)
        pairs.append(np.minimum(stored, np.uint8(63)))
        blocks[field] = most / np.float32(63)
    blocks["scales"] = pack_pairs(*pairs)
    return requantize(blocks, x, levels, top)


def encode_weighted_groups(
    blocks: Blocks, rows: Floats, importance: Floats, top: int, most: int
) -> Levels:
    """Fill in the scales, at most `most`, with a search of their own, weighted as their groups are.

    Beyond 63 they can only be if they were negative and wrapped around, as they do under a few
    columns' importance; then the bits that do not fit are lost.
    """
    x = rows.reshape(*blocks.shape, 256)
    weights = spread(x, importance.reshape(-1, 256), 2).reshape(*blocks.shape, 8, 32)
    x = x.reshape(weights.shape)
    scale, low, levels = fit_affine(x, weights, top, WEIGHTED_TRIALS)
    total = ordered_sum(weights)
    pairs = []
    for field, values in (("d", scale), ("dmin", -low)):
        blocks[field], stored = fit_positive(values, total, 63)
        pairs.append(np.minimum(stored, most).astype(np.uint8))
    blocks["scales"] = pack_pairs(*pairs)
    return requantize(blocks, x, levels, top)


def requantize(blocks: Blocks, x: Floats, levels: Levels, top: int) -> Levels:
    """The levels nearest to x under the scales as stored; a group of scale 0 keeps its own."""
    scales, minima = unpack_pairs(blocks["scales"])
    d = (blocks["d"].astype(np.float32)[..., None] * scales)[..., None]
    low = (blocks["dmin"].astype(np.float32)[..., None] * minima)[..., None]
    return np.where(d != 0, np.clip(nearest_int((x + low) / d), 0, top), levels)


def pack_pairs(scales: Bytes, minima: Bytes) -> Bytes:
    """8 scales and 8 minima of 6 bits, in 12 bytes."""
    low_scales, high_scales = scales[..., :4], scales[..., 4:]
    low_minima, high_minima = minima[..., :4], minima[..., 4:]
    return np.concatenate(
        [
            low_scales | high_scales >> 4 << 6,
            low_minima | high_minima >> 4 << 6,
            (high_scales & 15) | (high_minima & 15) << 4,
        ],
        -1,
    )


def unpack_pairs(packed: Bytes) -> tuple[Bytes, Bytes]:
    """The 8 scales and 8 minima in 12 bytes."""
    a, b, c = packed[..., :4], packed[..., 4:8], packed[..., 8:]
    scales = np.concatenate([a & 63, c & 15 | a >> 6 << 4], -1)
    minima = np.concatenate([b & 63, c >> 4 | b >> 6 << 4], -1)
    return scales, minima
