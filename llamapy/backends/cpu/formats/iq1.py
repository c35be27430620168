# mypy: check-untyped-defs=False
"""Formats of less than two bits: groups of 8 are points of a codebook of -1, 0 and 1."""

from __future__ import annotations

from ..bits import bits_to_bytes, bytes_to_bits, from_quads, quad
from ..kernel import device
from ..layouts import LargeLayout
from ..simd import (
    load_bytes16,
    load_u8,
    load_u16,
    store_u8,
    store_u16,
    unsigned_ints,
    where,
)
from .grids import number8, odd, odd_number_of_two, point, tables_of


class IQ1_S(LargeLayout):
    """w = d * (2s + 1) * (code - 1 + offset), the offset 1/8 or -1/8 for 32 weights

    A byte of the packed unit is s, with the offset's sign above it.
    """

    file_bytes, heads, bits, offset, scale_bytes = 50, (0,), 2, 1, 1
    has_minimum, step = True, 0.125

    @classmethod
    def tables(cls):
        return tables_of("IQ1", 2)

    @device
    def codes(block, unit, tables):
        at, high = block + 2 + 4 * unit, load_u16(block + 34 + 2 * unit) << 8
        return from_quads(
            point(tables, load_u8(at) | (high & 0x700)),
            point(tables, load_u8(at + 1) | ((high >> 3) & 0x700)),
            point(tables, load_u8(at + 2) | ((high >> 6) & 0x700)),
            point(tables, load_u8(at + 3) | ((high >> 9) & 0x700)),
        )

    @device
    def put_codes(block, unit, codes, tables):
        at, high = block + 2 + 4 * unit, block + 34 + 2 * unit
        a, b = number8(tables, quad(codes, 0)), number8(tables, quad(codes, 1))
        c, d = number8(tables, quad(codes, 2)), number8(tables, quad(codes, 3))
        store_u8(at, a)
        store_u8(at + 1, b)
        store_u8(at + 2, c)
        store_u8(at + 3, d)
        bits = (a >> 8) | ((b >> 8) << 3) | ((c >> 8) << 6) | ((d >> 8) << 9)
        store_u16(high, load_u16(high) | bits)

    @device
    def scale_byte(block, unit, k):
        return load_u16(block + 34 + 2 * unit) >> 12

    @device
    def put_scale_byte(block, unit, k, value):
        store_u16(block + 34 + 2 * unit, load_u16(block + 34 + 2 * unit) | (value << 12))

    @device
    def number(at, part):
        return odd(unsigned_ints(load_bytes16(at)) & 7) << 3

    @device
    def low(at, part):
        s = unsigned_ints(load_bytes16(at))
        size = odd(s & 7)
        return where((s & 8) == 8, size, -size)


class IQ1_M(LargeLayout):
    """w = d * (2s + 1) / 8 * (8 * level + offset), the offset 1 or -1 for 8 weights

    d is a half whose bits are spread over the top of four words of scales.
    """

    file_bytes, heads, bits, offset, scale_bytes = 56, (48,), 3, 16, 1
    parts, step, number = 2, 0.125, odd_number_of_two
    table = (9, 17, 25, 16, 7, 15, 23, 16) * 2

    @classmethod
    def tables(cls):
        return tables_of("IQ1", 2)

    @device
    def head(block, at):
        bits = 0
        for k in range(4):
            bits |= (load_u16(block + at + 2 * k) >> 12) << (4 * k)
        return bits

    @device
    def put_head(block, at, bits):
        for k in range(4):
            word = block + at + 2 * k
            store_u16(word, load_u16(word) | (((bits >> (4 * k)) & 15) << 12))

    @device
    def codes(block, unit, tables):
        at, high = block + 4 * unit, load_u16(block + 32 + 2 * unit)
        points = from_quads(
            point(tables, load_u8(at) | ((high & 7) << 8)),
            point(tables, load_u8(at + 1) | (((high >> 4) & 7) << 8)),
            point(tables, load_u8(at + 2) | (((high >> 8) & 7) << 8)),
            point(tables, load_u8(at + 3) | (((high >> 12) & 7) << 8)),
        )
        signs = 0
        for k in range(4):
            signs |= (((high >> (4 * k + 3)) & 1) * 255) << (8 * k)
        return points | (bits_to_bytes(signs) << 2)

    @device
    def put_codes(block, unit, codes, tables):
        at = block + 4 * unit
        a, b = number8(tables, quad(codes, 0)), number8(tables, quad(codes, 1))
        c, d = number8(tables, quad(codes, 2)), number8(tables, quad(codes, 3))
        store_u8(at, a)
        store_u8(at + 1, b)
        store_u8(at + 2, c)
        store_u8(at + 3, d)
        bits = (a >> 8) | ((b >> 8) << 4) | ((c >> 8) << 8) | ((d >> 8) << 12)
        signs = bytes_to_bits(codes & 4)
        for k in range(4):
            bits |= ((signs >> (8 * k)) & 1) << (4 * k + 3)
        store_u16(block + 32 + 2 * unit, bits)

    @device
    def scale_byte(block, unit, k):
        both = load_u16(block + 48 + 2 * (unit // 2)) >> (6 * (unit % 2))
        return (both & 7) | ((both & 56) << 1)

    @device
    def put_scale_byte(block, unit, k, value):
        word = block + 48 + 2 * (unit // 2)
        both = (value & 7) | ((value >> 1) & 56)
        store_u16(word, load_u16(word) | (both << (6 * (unit % 2))))
