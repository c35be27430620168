"""Plain numbers, one to a weight: floats of full width, and whole numbers.

F16 and BF16, which round, have files of their own.
"""

from __future__ import annotations

import numpy as np

from ..errors import QuantizationError
from .base import Blocks, Floats, Quant


class _Float(Quant):
    """A weight is a float of at least 32 bits."""

    block = 1

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        return blocks["w"].astype(np.float32)[:, None]

    @classmethod
    def encode(cls, rows: Floats, importance: Floats | None = None) -> Blocks:
        return rows.astype(cls.layout["w"]).view(cls.layout)


class F32(_Float, id=0):
    """A weight is a float32."""

    layout = np.dtype([("w", "<f4")])


class F64(_Float, id=28):
    """A weight is a float64; it is read as float32."""

    layout = np.dtype([("w", "<f8")])


class _Integer(Quant):
    """A weight is a whole number. Others are refused: rounding them would lose them silently."""

    block = 1

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        return blocks["w"].astype(np.float32)[:, None]

    @classmethod
    def encode(cls, rows: Floats, importance: Floats | None = None) -> Blocks:
        range_of = np.iinfo(cls.layout["w"])
        # one more than the largest is a power of two, which float32 holds exactly
        fits = (rows >= range_of.min) & (rows < float(range_of.max + 1)) & (rows == np.trunc(rows))
        if not fits.all():
            raise QuantizationError(
                f"{cls.__name__} holds whole numbers from {range_of.min} to {range_of.max}, and "
                f"not {rows[~fits][0]}: round or clip the tensor, or keep it in F32"
            )
        return rows.astype(cls.layout["w"]).view(cls.layout)


class I8(_Integer, id=24):
    """A weight is a whole number of 8 bits."""

    layout = np.dtype([("w", "i1")])


class I16(_Integer, id=25):
    """A weight is a whole number of 16 bits."""

    layout = np.dtype([("w", "<i2")])


class I32(_Integer, id=26):
    """A weight is a whole number of 32 bits; it is read as float32, exact to 2 ** 24."""

    layout = np.dtype([("w", "<i4")])


class I64(_Integer, id=27):
    """A weight is a whole number of 64 bits; it is read as float32, exact to 2 ** 24."""

    layout = np.dtype([("w", "<i8")])
