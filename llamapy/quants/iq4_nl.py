"""IQ4_NL: 4-bit numbers that pick from an uneven table, denser near zero; one scale for 32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Blocks, Floats, Quant
from .packing import pack_halves, unpack_halves
from .search import inverse_or_zero, largest_signed
from .search_linear import TINY, sum_from_zero

TABLE = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32
)
MIDDLES = (TABLE[:-1] + TABLE[1:]) / 2


def nearest_entry(x: Floats) -> NDArray[np.intp]:
    """Where in TABLE the entry nearest to x is; halfway, the upper one, and for NaN the last."""
    return MIDDLES.searchsorted(x, side="right")


def group_weights(x: Floats, importance: Floats | None) -> Floats:
    """Weights for x [..., groups, 32]: importance times size, or without it the square alone."""
    square = x * x
    if importance is None:
        return square
    n = x.shape[-2] * x.shape[-1]
    flat = square.reshape(*x.shape[:-2], n)
    mean = sum_from_zero(flat) * (np.float32(2) / np.float32(n))
    return importance * np.sqrt(mean[..., None, None] + square)


def search_table_scale(x: Floats, weights: Floats) -> Floats:
    """The scale with which x [..., n] ~ scale * TABLE[q] errs least."""
    largest = largest_signed(x)

    def fit(inverse: Floats) -> tuple[Floats, Floats]:
        q = TABLE[nearest_entry(inverse[..., None] * x)]
        return sum_from_zero(weights * q * x), sum_from_zero(weights * q * q)

    qx, qq = fit(np.float32(1) / (largest / np.float32(127)))
    scale = np.where(qq > 0, qx / qq, np.float32(0))
    best = scale * qx
    for step in range(-7, 8):
        qx, qq = fit((np.float32(step) - np.float32(127)) / largest)
        better = (qq > 0) & (qx * qx > best * qq)
        scale = np.where(better, qx / qq, scale)
        best = np.where(better, scale * qx, best)
    return np.where(np.abs(largest) < TINY, np.float32(0), scale)


class IQ4_NL(Quant, id=20):
    """32 weights: w = d * TABLE[q], with q in [0, 15]."""

    block, dot_with, importance = 32, "Q8_0", "optional"
    layout = np.dtype([("d", "<f2"), ("qs", "u1", 16)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        return blocks["d"].astype(np.float32)[:, None] * TABLE[unpack_halves(blocks["qs"])]

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x = rows.reshape(len(rows), -1, 1, IQ4_NL.block)
        blocks = np.zeros(x.shape[:2], IQ4_NL.layout)
        if importance is not None:
            importance = importance.reshape(-1, 1, IQ4_NL.block)
        d = search_table_scale(x, group_weights(x, importance))[..., 0]
        blocks["d"] = d
        q = nearest_entry(inverse_or_zero(d)[..., None] * x[:, :, 0])
        blocks["qs"] = pack_halves(q)
        return blocks
