"""F16: half precision."""

from __future__ import annotations

import numpy as np

from .base import Blocks, Floats, Quant


class F16(Quant, id=1):
    """A weight is a half: nearest, ties to even; from 65520 on it is infinite."""

    block, dot_with = 1, "F16"
    layout = np.dtype([("w", "<f2")])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        return blocks["w"].astype(np.float32)[:, None]

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        blocks = np.zeros(rows.shape, F16.layout)
        # every NaN becomes the plain one of its sign
        plain_nan = np.copysign(np.float16(np.nan), rows)
        blocks["w"] = np.where(np.isnan(rows), plain_nan, rows)
        return blocks
