"""IQ4_NL, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel
from ..iq4_nl import MIDDLES, TABLE
from ._lanes import WIDTH, everywhere, load, load_turned, pick, root, store, to_int, where
from ._pack import load_nibbles, store_nibbles
from ._search_linear import BLOCK, TILE, TINY, largest_of
from ._words import inverse_or_zero, load_half, store_half


@kernel
def decode(raw, out, first, last):
    raw = raw.reshape(-1)
    for b in range(first, last):
        d = load_half(raw, b * 18)
        low, high = load_nibbles(raw, b * 18 + 2)
        store(out, b * 32, pick(TABLE, low) * d)
        store(out, b * 32 + 16, pick(TABLE, high) * d)


@kernel
def encode(rows, importance, out, first, last):
    out = out.reshape(-1)
    per_row = rows.shape[1] // BLOCK
    stop = last * per_row
    starts, columns = np.empty(WIDTH, np.int64), np.empty(WIDTH, np.int64)
    x, weights = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    scales = np.empty(WIDTH, np.float32)
    for group in range(first * per_row, stop, WIDTH):
        for k in range(WIDTH):
            block = min(group + k, stop - 1)
            starts[k], columns[k] = block * BLOCK, block % per_row * BLOCK
        for at in range(0, BLOCK, WIDTH):
            load_turned(rows, starts, at, x, at * WIDTH)
        energy = everywhere(0)
        for at in range(0, TILE, WIDTH):
            energy = energy + load(x, at) * load(x, at)
        weigh(x, importance, columns, 0, energy * np.float32(2 / BLOCK), weights)
        store(scales, 0, search_table_scale(x, weights))
        for b in range(group, min(group + WIDTH, stop)):
            d = scales[b - group]
            inverse = inverse_or_zero(d)
            low = nearest_entry(load(rows, b * BLOCK) * inverse)
            store_half(out, b * 18, d)
            store_nibbles(out, b * 18 + 2, low, nearest_entry(load(rows, b * BLOCK + 16) * inverse))


@numba.njit(nogil=True)
def weigh(x, importance, columns, at, energy, weights):
    """Weights of sixteen groups: importance times size, or without it the square alone."""
    if len(importance):
        for j in range(0, BLOCK, WIDTH):
            load_turned(importance, columns, at + j, weights, j * WIDTH)
    for j in range(0, TILE, WIDTH):
        v = load(x, j)
        square = v * v
        if len(importance):
            square = load(weights, j) * root(energy + square)
        store(weights, j, square)


@numba.njit(nogil=True)
def nearest_entry(x):
    """Where in TABLE the nearest entry is; halfway, the upper one, and for NaN the last."""
    q = to_int(everywhere(0))
    for i in range(15):
        q = where(x < MIDDLES[i], q, i + 1)
    return q


@numba.njit(nogil=True)
def nearest_value(x):
    """The entry of TABLE that is nearest."""
    value = everywhere(TABLE[0])
    for i in range(15):
        value = where(x < MIDDLES[i], value, TABLE[i + 1])
    return value


@numba.njit(nogil=True)
def search_table_scale(x, weights):
    """The scale with which x ~ scale * TABLE[q] errs least, for sixteen groups of 32."""
    largest, size = largest_of(x)
    scale, best = everywhere(0), everywhere(0)
    for step in range(-8, 8):
        inverse = everywhere(np.float32(step) - np.float32(127)) / largest
        if step == -8:  # the obvious scale comes first
            inverse = 1 / (largest / 127)
        qx, qq = everywhere(0), everywhere(0)
        for at in range(0, TILE, WIDTH):
            v = load(x, at)
            q = nearest_value(inverse * v)
            weighted = load(weights, at) * q
            qx, qq = qx + weighted * v, qq + weighted * q
        if step == -8:
            scale = where(qq > 0, qx / qq, 0)
            best = scale * qx
        else:
            better = (qq > 0) & (qx * qx > best * qq)
            scale = where(better, qx / qq, scale)
            best = where(better, scale * qx, best)
    return where(size < TINY, 0, scale)
