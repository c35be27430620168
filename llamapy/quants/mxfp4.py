"""MXFP4: tiny 4-bit floats that share a power of two, 32 at a time (an OCP microscaling format)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Blocks, Bytes, Floats, Quant
from .packing import pack_halves, unpack_halves

# twice what a 4-bit float with 2 exponent bits and 1 mantissa bit can be; the scales are halved
FP4 = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.float32)


def nearest_fp4(x: Floats, d: Floats) -> NDArray[np.intp]:
    """Which of d * FP4 is nearest to each of x [..., n]; of equally near ones, the first."""
    candidates = FP4 * d[..., None]
    return np.abs(candidates[..., None, :] - x[..., None]).argmin(-1)


def half_power(e: Bytes) -> Floats:
    """Half the scale that a byte of bare exponent stands for: 2 ** (e - 128)."""
    return np.ldexp(np.float32(1), e.astype(np.int32) - 128)


def power_below(x: Floats) -> NDArray[np.int32]:
    """The exponent of the greatest power of two that is <= x, from a logarithm in float32.

    Just below a large power the logarithm rounds up to it.
    """
    positive = np.where(x > 0, x, 1).astype(np.float64)
    return np.floor(np.log2(positive).astype(np.float32)).astype(np.int32)


class MXFP4(Quant, id=39):
    """32 weights: w = 2 ** (e - 128) * FP4[q]."""

    block, dot_with = 32, "Q8_0"
    layout = np.dtype([("e", "u1"), ("qs", "u1", 16)])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        return FP4[unpack_halves(blocks["qs"])] * half_power(blocks["e"])[:, None]

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x = rows.reshape(len(rows), -1, MXFP4.block)
        blocks = np.zeros(x.shape[:2], MXFP4.layout)
        largest = np.abs(x).max(-1)
        # below 2 ** -125 the byte wraps round to a huge scale, and the weights become zero
        e = np.where(largest > 0, power_below(largest) - 2 + 127, 0) & 255
        blocks["e"] = e
        blocks["qs"] = pack_halves(nearest_fp4(x, half_power(blocks["e"])))
        return blocks
