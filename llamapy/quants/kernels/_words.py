"""Words that the kernels share: halves in a block's bytes, and rounding."""

from __future__ import annotations

import numba
import numpy as np
from numba.core import types

from ...jit import float_bits, float_to_half, half_to_float


@numba.njit(nogil=True)
def load_half(block, at):
    """The float32 value of the half at this byte."""
    return half_to_float(np.uint16(block[at]) | (np.uint16(block[at + 1]) << np.uint16(8)))


@numba.njit(nogil=True)
def store_half(block, at, value):
    """Write the nearest half to this byte."""
    half = float_to_half(value)
    block[at] = half & 0xFF
    block[at + 1] = half >> 8


@numba.njit(nogil=True)
def round_away(x):
    """The nearest whole number, halves away from zero, as C's roundf."""
    size = abs(x)
    whole = np.floor(size)
    if size - whole >= np.float32(0.5):
        whole += np.float32(1)
    return np.float32(-whole) if x < 0 else np.float32(whole)


@numba.njit(nogil=True)
def nearest_int(x):
    """The nearest whole number, halves to even, read from a float's last bits as ggml does."""
    bits = float_bits(types.float32(x + np.float32(12582912)))
    return types.int32(bits & types.uint32(0x007FFFFF)) - types.int32(0x00400000)


@numba.njit(nogil=True)
def inverse_or_zero(d):
    """1 / d, and 0 where d is 0."""
    return np.float32(1) / d if d != 0 else np.float32(0)
