"""Rounding and the searches for good scales that several formats share, as NumPy definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Floats


def round_away(x: Floats) -> Floats:
    """The nearest whole number, halves away from zero, as C's roundf."""
    size = np.abs(x)
    whole = np.floor(size)
    return np.copysign(whole + (size - whole >= 0.5), x).astype(np.float32)


def nearest_int(x: Floats) -> NDArray[np.int32]:
    """The nearest whole number, halves to even, read from a float's last bits as ggml does.

    Right for |x| <= 4194303; beyond that, and for NaN, it gives ggml's very own nonsense.
    """
    shifted = np.asarray(x + np.float32(12582912), np.float32)
    bits: NDArray[Any] = shifted.view(np.int32)
    return (bits & 0x007FFFFF) - np.int32(0x00400000)


def to_int(x: Floats) -> NDArray[np.int32]:
    """The whole part, as x86 casts it: what has no int32, NaN included, gives the smallest one."""
    fits = np.abs(x) < 2.0**31
    return np.where(fits, np.where(fits, x, 0).astype(np.int32), np.int32(-(2**31)))


def inverse_or_zero(d: Floats) -> Floats:
    """1 / d, and 0 where d is 0."""
    return np.divide(np.float32(1), d, out=np.zeros_like(d), where=d != 0)


def largest_signed(x: Floats) -> Floats:
    """The first of the values that are largest in size, along the last axis, with its sign."""
    at = np.abs(x).argmax(-1)[..., None]
    return np.take_along_axis(x, at, -1)[..., 0] + np.float32(0)
