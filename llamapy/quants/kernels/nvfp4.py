"""NVFP4, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import float_bits, kernel
from ..mxfp4 import FP4
from ..nvfp4 import HALF_SCALES, LARGEST
from ._lanes import greatest, load, store
from .mxfp4 import nearest_fp4

SATURATED = np.float32(448 * 6)  # a larger value is beyond the largest scale


@kernel
def decode(raw, out, first, last):
    raw, out = raw.reshape(-1), out.reshape(-1)
    for b in range(first, last):
        for group in range(4):
            d = HALF_SCALES[raw[b * 36 + group]]
            for j in range(8):
                q = raw[b * 36 + 4 + group * 8 + j]
                out[b * 64 + group * 16 + j] = FP4[q & 15] * d
                out[b * 64 + group * 16 + 8 + j] = FP4[q >> 4] * d


@kernel
def encode(rows, importance, out, first, last):
    out, values = out.reshape(-1), rows.reshape(-1)
    loose, packed = np.empty(64, np.uint8), np.empty(32, np.uint8)
    loose_words, packed_words = loose.view(np.uint64), packed.view(np.uint64)
    per_row = rows.shape[1] // 64
    for b in range(first * per_row, last * per_row):
        for group in range(4):
            at = b * 64 + group * 16
            x = load(rows, at)
            largest = greatest(abs(x))
            scale = nearest_scale(largest / np.float32(6))
            out[b * 36 + group] = scale
            d = HALF_SCALES[scale]
            if largest > SATURATED or d == 0:
                for j in range(16):
                    loose[group * 16 + j] = nearest_of_all(values[at + j], d)
            else:
                store(loose, group * 16, nearest_fp4(x, d))
        for group in range(4):
            high = loose_words[2 * group + 1] << np.uint64(4)
            packed_words[group] = loose_words[2 * group] | high
        store(out, b * 36 + 4, load(packed, 0))
        store(out, b * 36 + 20, load(packed, 16))


@numba.njit(nogil=True)
def nearest_scale(x):
    """The byte of the scale nearest to x >= 0, halves up; all from 256 on give 448."""
    bits = np.int64(float_bits(x))
    code = (bits >> 20) + ((bits >> 19) & 1) - (120 << 3)
    if bits >> 23 <= 120:
        return min(np.int64(x * np.float32(512) + np.float32(0.5)), np.int64(7))
    return code if code < 15 << 3 else np.int64(LARGEST)


@numba.njit(nogil=True)
def nearest_of_all(x, d):
    """The first of the nearest, with errors rounded as float32 rounds them."""
    best, least = 0, abs(FP4[0] * d - x)
    for q in range(1, 16):
        error = abs(FP4[q] * d - x)
        if error < least:
            best, least = q, error
    return best
