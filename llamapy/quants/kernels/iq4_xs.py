"""IQ4_XS, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel
from ..iq4_nl import TABLE
from ._lanes import WIDTH, everywhere, load, load_turned, pick, store
from ._pack import load_nibbles, store_nibbles
from ._search_linear import BLOCK, TILE
from ._words import inverse_or_zero, load_half, nearest_int, store_half
from .iq4_nl import nearest_entry, search_table_scale, weigh


@kernel
def decode(raw, out, first, last):
    raw = raw.reshape(-1)
    for b in range(first, last):
        at = b * 136
        d = load_half(raw, at)
        high = np.int32(raw[at + 2]) | (np.int32(raw[at + 3]) << 8)
        for group in range(8):
            low = np.int32(raw[at + 4 + group // 2] >> 4 * (group % 2)) & 15
            scale = d * np.float32((low | (high >> 2 * group & 3) << 4) - 32)
            first_half, second_half = load_nibbles(raw, at + 8 + group * 16)
            store(out, b * 256 + group * 32, pick(TABLE, first_half) * scale)
            store(out, b * 256 + group * 32 + 16, pick(TABLE, second_half) * scale)


@kernel
def encode(rows, importance, out, first, last):
    out = out.reshape(-1)
    per_row = rows.shape[1] // 256
    stop = last * per_row
    starts, columns = np.empty(WIDTH, np.int64), np.empty(WIDTH, np.int64)
    x, weights = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    scales = np.empty((8, WIDTH), np.float32)
    for first_block in range(first * per_row, stop, WIDTH):
        for k in range(WIDTH):
            block = min(first_block + k, stop - 1)
            starts[k], columns[k] = block * 256, block % per_row * 256
        energy = everywhere(0)
        if len(importance):
            for at in range(0, 256, BLOCK):
                load_blocks(rows, starts, at, x)
                for j in range(0, TILE, WIDTH):
                    energy = energy + load(x, j) * load(x, j)
        for group in range(8):
            load_blocks(rows, starts, group * BLOCK, x)
            weigh(x, importance, columns, group * BLOCK, energy * np.float32(2 / 256), weights)
            store(scales, group * WIDTH, search_table_scale(x, weights))
        for b in range(first_block, min(first_block + WIDTH, stop)):
            write_block(rows, scales[:, b - first_block], out, b)


@numba.njit(nogil=True)
def load_blocks(rows, starts, at, x):
    for j in range(0, BLOCK, WIDTH):
        load_turned(rows, starts, at + j, x, j * WIDTH)


@numba.njit(nogil=True)
def write_block(rows, wanted, out, b):
    """Round the eight wanted scales to six bits and the weights to the table."""
    largest = np.float32(0)
    for group in range(8):
        if abs(wanted[group]) > abs(largest):
            largest = wanted[group]
    d = -largest / np.float32(32)
    inverse = inverse_or_zero(d)
    high_bits, at = 0, b * 136
    store_half(out, at, d)
    for group in range(8):
        scale = max(-32, min(31, nearest_int(inverse * wanted[group])))
        finest = inverse_or_zero(d * np.float32(scale))
        place = b * 256 + group * 32
        low, high = load(rows, place) * finest, load(rows, place + 16) * finest
        store_nibbles(out, at + 8 + group * 16, nearest_entry(low), nearest_entry(high))
        scale += 32
        high_bits |= (scale >> 4) << (2 * group)
        if group % 2 == 0:
            out[at + 4 + group // 2] = scale & 15
        else:
            out[at + 4 + group // 2] |= (scale & 15) << 4
    out[at + 2], out[at + 3] = high_bits & 255, high_bits >> 8
