"""4-bit and 5-bit numbers in bytes, compiled: a block's first half low, its second half high."""

from __future__ import annotations

import numba
import numpy as np

from ._lanes import counting, load, store, true_lanes


@numba.njit(nogil=True)
def store_nibbles(out, at, low, high):
    store(out, at, (low & 15) | (high << 4))


@numba.njit(nogil=True)
def load_nibbles(raw, at):
    packed = load(raw, at)
    return packed & 15, packed >> 4


@numba.njit(nogil=True)
def store_fifth_bits(out, at, low, high):
    bits = true_lanes((low & 16) > 0) | (true_lanes((high & 16) > 0) << np.uint32(16))
    for i in range(4):
        out[at + i] = (bits >> np.uint32(8 * i)) & np.uint32(255)


@numba.njit(nogil=True)
def load_fifth_bits(raw, at):
    """Bit 4 of sixteen numbers and of sixteen more."""
    low = np.int32(raw[at]) | (np.int32(raw[at + 1]) << 8)
    high = np.int32(raw[at + 2]) | (np.int32(raw[at + 3]) << 8)
    return ((low >> counting()) & 1) << 4, ((high >> counting()) & 1) << 4
