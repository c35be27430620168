# mypy: check-untyped-defs=False
"""What a cache keeps of a head, in each of its formats: how it is read, and how it is written.

    read(out, at, d)     d values at `at` as float32, filled up with zeros to a multiple of 16
    write(at, x, d)      d values to `at`, rounded as the format's definition rounds

Half precision needs heads of any size, block formats such as divide into blocks of 32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types

from ...jit import float_to_half, half_to_float
from .kernel import device
from .simd import (
    absolute,
    bits_of,
    convert,
    floats16,
    floats_of,
    ints16,
    load_bytes16,
    load_f32,
    load_first_floats,
    load_floats16,
    load_halves16,
    load_u16,
    load_words16,
    low_bytes,
    low_words,
    maximum,
    narrow,
    reduce_max,
    repeat_float,
    signed_ints,
    store,
    store_f32,
    store_first,
    store_u16,
    to_floats,
    unsigned_ints,
    where,
    widen,
    words_to_ints,
)

# towards 0, as a cast
cut_ints = convert("cut_ints", floats16, ints16, lambda b, v: b.fptosi(v, ints16.llvm))
BLOCK = 32
TILE = 32  # cells that lie together in the forms that attention likes


def rows_of(buffer: Any) -> Any:
    """A cache's memory: an array of numbers, or of the bytes of a block format."""
    return buffer if isinstance(buffer, np.ndarray) else buffer.rows


# ---- numbers


@device
def read_f32(out, at, d):
    for k in range(0, d // 16 * 16, 16):
        store(out + 4 * k, load_floats16(at + 4 * k))
    if d % 16:
        k = d // 16 * 16
        store(out + 4 * k, load_first_floats(at + 4 * k, d - k))


@device
def write_f32(at, x, d):
    for k in range(0, d // 16 * 16, 16):
        store(at + 4 * k, load_floats16(x + 4 * k))
    if d % 16:
        k = d // 16 * 16
        store_first(at + 4 * k, load_first_floats(x + 4 * k, d - k), d - k)


@device
def _fill(out, d):
    """Zeros up to a multiple of 16."""
    for k in range(d, (d + 15) // 16 * 16):
        store_f32(out + 4 * k, 0.0)


@device
def read_f16(out, at, d):
    for k in range(0, d // 16 * 16, 16):
        store(out + 4 * k, widen(load_halves16(at + 2 * k)))
    for k in range(d // 16 * 16, d):
        store_f32(out + 4 * k, half_to_float(types.uint16(load_u16(at + 2 * k))))
    _fill(out, d)


@device
def write_f16(at, x, d):
    for k in range(0, d // 16 * 16, 16):
        value = load_floats16(x + 4 * k)
        # every NaN becomes the plain one of its sign
        plain = floats_of((bits_of(value) & -2147483648) | 0x7FC00000)
        store(at + 2 * k, narrow(where(value == value, value, plain)))
    for k in range(d // 16 * 16, d):
        store_u16(at + 2 * k, types.int64(float_to_half(load_f32(x + 4 * k))))


@device
def read_bf16(out, at, d):
    for k in range(0, d // 16 * 16, 16):
        store(out + 4 * k, floats_of(words_to_ints(load_words16(at + 2 * k)) << 16))
    if d % 16:
        for k in range(d // 16 * 16, d):
            store_u16(out + 4 * k, 0)
            store_u16(out + 4 * k + 2, load_u16(at + 2 * k))
    _fill(out, d)


@device
def _upper_halves(value):
    bits = bits_of(value)
    rounded = bits + (((bits >> 16) & 1) + 0x7FFF)
    kept = where(value == value, rounded, bits | 0x400000)
    return low_words(kept >> 16)


@device
def write_bf16(at, x, d):
    for k in range(0, d, 16):
        count = min(16, d - k)
        value = load_first_floats(x + 4 * k, count)
        store_first(at + 2 * k, _upper_halves(value), count)


# ---- blocks of 32


@device
def _largest(x, y):
    return reduce_max(maximum(absolute(x), absolute(y)))


@device
def _inverse(d):
    return np.float32(1) / d if d != 0 else np.float32(0)


@device
def read_q8_0(out, at, d):
    for k in range(0, d, BLOCK):
        scale = half_to_float(types.uint16(load_u16(at)))
        for half in range(0, BLOCK, 16):
            q = to_floats(signed_ints(load_bytes16(at + 2 + half)))
            store(out + 4 * (k + half), q * scale)
        at += 34


@device
def _round_away(x):
    """To the nearest whole number, halves away from 0."""
    whole = to_floats(cut_ints(x))
    rest = absolute(x - whole)
    one = where(x < 0.0, repeat_float(-1.0), repeat_float(1.0))
    return cut_ints(where(rest >= 0.5, whole + one, whole))


@device
def write_q8_0(at, x, d):
    for k in range(0, d, BLOCK):
        a, b = load_floats16(x + 4 * k), load_floats16(x + 4 * k + 64)
        scale = _largest(a, b) / np.float32(127)
        inverse = _inverse(scale)
        store_u16(at, types.int64(float_to_half(scale)))
        store(at + 2, low_bytes(_round_away(a * inverse)))
        store(at + 18, low_bytes(_round_away(b * inverse)))
        at += 34


@device
def read_q4_0(out, at, d):
    for k in range(0, d, BLOCK):
        scale = half_to_float(types.uint16(load_u16(at)))
        codes = unsigned_ints(load_bytes16(at + 2))
        store(out + 4 * k, to_floats((codes & 15) - 8) * scale)
        store(out + 4 * k + 64, to_floats((codes >> 4) - 8) * scale)
        at += 18


@device
def _code4(x):
    q = cut_ints(x + 8.5) & 255
    return where(q > 15, 15, q)


@device
def write_q4_0(at, x, d):
    for k in range(0, d, BLOCK):
        # the first of the largest in size, with its sign, becomes -8
        most, size = np.float32(0), np.float32(0)
        for j in range(k, k + BLOCK):
            value = load_f32(x + 4 * j)
            if abs(value) > size:
                most, size = value, abs(value)
        scale = most / np.float32(-8)
        inverse = _inverse(scale)
        store_u16(at, types.int64(float_to_half(scale)))
        low = _code4(load_floats16(x + 4 * k) * inverse)
        high = _code4(load_floats16(x + 4 * k + 64) * inverse)
        store(at + 2, low_bytes(low | (high << 4)))
        at += 18


READ: dict[str, Any] = {
    "F32": read_f32,
    "F16": read_f16,
    "BF16": read_bf16,
    "Q8_0": read_q8_0,
    "Q4_0": read_q4_0,
}
WRITE: dict[str, Any] = {
    "F32": write_f32,
    "F16": write_f16,
    "BF16": write_bf16,
    "Q8_0": write_q8_0,
    "Q4_0": write_q4_0,
}
