"""Q8_K, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel
from ._words import nearest_int


@kernel
def decode(raw, out, first, last):
    for b in range(first, last):
        d = raw[b, :4].view(np.float32)[0]
        for j in range(256):
            out[b, j] = d * np.float32(np.int8(raw[b, 4 + j]))


@kernel
def encode(rows, importance, out, first, last):
    for r in range(first, last):
        for b in range(rows.shape[1] // 256):
            _encode_block(rows[r, b * 256 : b * 256 + 256], out[r, b * 292 : b * 292 + 292])


@numba.njit(nogil=True)
def _encode_block(x, block):
    most = np.float32(0)
    for j in range(256):
        if abs(x[j]) > abs(most):
            most = x[j]
    if most == 0:
        block[:] = 0
        return
    factor = np.float32(-127) / most
    block[:4].view(np.float32)[0] = np.float32(1) / factor
    for j in range(256):
        block[4 + j] = np.uint8(min(127, nearest_int(x[j] * factor)))
    for j in range(16):
        total = np.int32(0)
        for i in range(16):
            total += np.int8(block[4 + 16 * j + i])
        block[260 + 2 * j] = total & 255
        block[261 + 2 * j] = total >> 8 & 255
