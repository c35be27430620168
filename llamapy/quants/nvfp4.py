"""NVFP4: tiny 4-bit floats with an 8-bit float as scale for every 16."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Bytes, Floats, Quant
from .mxfp4 import FP4, nearest_fp4
from .packing import pack_halves, unpack_halves


def _half_scales() -> Floats:
    """Half of what each byte is as a float with 4 exponent and 3 mantissa bits; bit 7 is unused."""
    byte = np.arange(256)
    exponent, mantissa = (byte >> 3) & 15, byte & 7
    tiny = np.ldexp(mantissa / 8, -6)
    values = np.where(exponent == 0, tiny, np.ldexp(1 + mantissa / 8, exponent - 7))
    values[127] = 0  # where a NaN would be
    return (values / 2).astype(np.float32)


HALF_SCALES = _half_scales()
LARGEST = 0x7E  # 448


def nearest_scale(x: Floats) -> Bytes:
    """The byte of the scale nearest to x >= 0, halves up; all from 256 on give 448."""
    bits = x.view(np.uint32)
    code = ((bits >> 20) + ((bits >> 19) & 1)).astype(np.int64) - (120 << 3)
    tiny = np.minimum((np.minimum(x, 1) * np.float32(512) + np.float32(0.5)).astype(np.int64), 7)
    code = np.where(bits >> 23 <= 120, tiny, code)
    return np.where(code >= 15 << 3, LARGEST, code).astype(np.uint8)


class NVFP4(Quant, id=40):
    """64 weights in four groups of 16: w = HALF_SCALES[d] * FP4[q]."""

    block, dot_with = 64, "Q8_0"
    layout = np.dtype([("d", "u1", 4), ("qs", "u1", (4, 8))])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        w = FP4[unpack_halves(blocks["qs"])] * HALF_SCALES[blocks["d"]][..., None]
        return w.reshape(len(blocks), -1)

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x = rows.reshape(len(rows), -1, 4, 16)
        blocks = np.zeros(x.shape[:2], NVFP4.layout)
        blocks["d"] = nearest_scale(np.abs(x).max(-1) / np.float32(6))
        blocks["qs"] = pack_halves(nearest_fp4(x, HALF_SCALES[blocks["d"]]))
        return blocks
