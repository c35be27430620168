# mypy: check-untyped-defs=False
"""Blocks of 32 to 64 weights with a scale of their own."""

from __future__ import annotations

import numpy as np

from ..bits import bits_to_bytes, bytes_to_bits, swap_middle
from ..kernel import device
from ..layouts import Layout
from ..simd import (
    first_half,
    floats_of,
    load_bytes16,
    load_bytes32,
    load_u8,
    load_u32,
    maximum,
    second_half,
    side_by_side,
    store,
    store_u8,
    store_u32,
    unsigned_ints,
    where,
)

IQ4_VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
# twice the numbers that four bits hold as sign, exponent of two bits and one bit of fraction
FP4_VALUES = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)


@device
def load_nibbles(at):
    """32 codes of 4 bits: the low halves of 16 bytes, then the high halves."""
    packed = load_bytes16(at)
    return side_by_side(packed & 15, packed >> 4)


@device
def store_nibbles(at, codes):
    store(at, first_half(codes) | (second_half(codes) << 4))


class _Nibbles(Layout):
    """Sixteen bytes of two codes each, behind a scale."""

    columns, file_bytes, heads, bits = 32, 18, (0,), 4

    @device
    def codes(block, unit, tables):
        return load_nibbles(block + 2)

    @device
    def put_codes(block, unit, codes, tables):
        store_nibbles(block + 2, codes)


class Q4_0(_Nibbles):
    """w = d * (code - 8)"""

    offset = 8


class IQ4_NL(_Nibbles):
    """w = d * value[code]"""

    table, offset = tuple(value + 128 for value in IQ4_VALUES), 128


class Q4_1(Layout):
    """w = d * code + m"""

    columns, file_bytes, heads, bits = 32, 20, (0, 2), 4
    has_minimum = True

    @device
    def codes(block, unit, tables):
        return load_nibbles(block + 4)

    @device
    def put_codes(block, unit, codes, tables):
        store_nibbles(block + 4, codes)

    @device
    def minimum(d, m, at, part):
        return -m


class Q5_0(Layout):
    """w = d * (code - 16), the fifth bits apart"""

    columns, file_bytes, heads, bits, offset = 32, 22, (0,), 5, 16

    @device
    def codes(block, unit, tables):
        return load_nibbles(block + 6) | (bits_to_bytes(load_u32(block + 2)) << 4)

    @device
    def put_codes(block, unit, codes, tables):
        store_nibbles(block + 6, codes & 15)
        store_u32(block + 2, bytes_to_bits(codes & 16))


class Q5_1(Layout):
    """w = d * code + m, the fifth bits apart"""

    columns, file_bytes, heads, bits = 32, 24, (0, 2), 5
    has_minimum = True
    minimum = Q4_1.minimum

    @device
    def codes(block, unit, tables):
        return load_nibbles(block + 8) | (bits_to_bytes(load_u32(block + 4)) << 4)

    @device
    def put_codes(block, unit, codes, tables):
        store_nibbles(block + 8, codes & 15)
        store_u32(block + 4, bytes_to_bits(codes & 16))


class Q8_0(Layout):
    """w = d * (code - 128), where the file has signed bytes"""

    columns, file_bytes, heads, bits, offset = 32, 34, (0,), 8, 128

    @device
    def codes(block, unit, tables):
        return load_bytes32(block + 2) ^ 128

    @device
    def put_codes(block, unit, codes, tables):
        store(block + 2, codes ^ 128)


class MXFP4(Layout):
    """w = 2 ** (e - 128) * value[code]"""

    columns, file_bytes, bits, scale_bytes = 32, 17, 4, 1
    table, offset = tuple(value + 16 for value in FP4_VALUES), 16

    @device
    def codes(block, unit, tables):
        return load_nibbles(block + 1)

    @device
    def put_codes(block, unit, codes, tables):
        store_nibbles(block + 1, codes)

    @device
    def scale_byte(block, unit, k):
        return load_u8(block)

    @device
    def put_scale_byte(block, unit, k, value):
        store_u8(block, value)

    @device
    def scale(d, at, part):
        e = unsigned_ints(load_bytes16(at))
        # the two smallest powers are below the normal numbers: there the second one is larger
        return floats_of(maximum((e - 1) << 23, (e + 1) << 21))


class NVFP4(Layout):
    """w = scale / 2 * value[code]: 16 weights share a scale of 4 bits of exponent, 3 of fraction"""

    columns, file_bytes, bits, scale_bytes, parts = 64, 36, 4, 2, 2
    table, offset = MXFP4.table, 16

    @device
    def codes(block, unit, tables):
        return swap_middle(load_nibbles(block + 4 + 16 * unit))

    @device
    def put_codes(block, unit, codes, tables):
        store_nibbles(block + 4 + 16 * unit, swap_middle(codes))

    @device
    def scale_byte(block, unit, k):
        return load_u8(block + 2 * unit + k)

    @device
    def put_scale_byte(block, unit, k, value):
        store_u8(block + 2 * unit + k, value)

    @device
    def scale(d, at, part):
        bits = unsigned_ints(load_bytes16(at + 16 * part))
        # as the last bits of a float's exponent they are 120 too small, and the value is halved
        return floats_of(where(bits == 127, 0, bits & 127) << 20) * np.float32(2.0**119)
