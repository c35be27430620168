# mypy: check-untyped-defs=False
"""Formats of about two bits: groups of 8 are points of a codebook of three sizes, with signs."""

from __future__ import annotations

from ..bits import bits_to_bytes, bytes_to_bits, from_quads, quad
from ..kernel import device
from ..layouts import LargeLayout
from ..simd import load_u8, load_u16, load_u32, store_u8, store_u16, store_u32
from .grids import (
    even_signs,
    four_even_signs,
    four_sevens,
    number8,
    odd,
    odd_number,
    odd_number_of_two,
    point,
    tables_of,
)
from .k import add_u8


class _Signed2(LargeLayout):
    """w = d * (2s + 1) / 8 * sign * value: a value's number in two bits, and its sign"""

    heads, bits, offset, scale_bytes, step = (0,), 3, 64, 1, 0.125
    number = odd_number_of_two
    table = (72, 89, 107, 64, 56, 39, 21, 64) * 2
    book: str

    @classmethod
    def tables(cls):
        return tables_of(cls.book, 2)


class IQ2_XXS(_Signed2):
    __doc__ = _Signed2.__doc__
    file_bytes, book, number = 66, "IQ2_XXS", odd_number

    @device
    def codes(block, unit, tables):
        at = block + 2 + 8 * unit
        points = from_quads(
            point(tables, load_u8(at)),
            point(tables, load_u8(at + 1)),
            point(tables, load_u8(at + 2)),
            point(tables, load_u8(at + 3)),
        )
        return points | (bits_to_bytes(four_even_signs(load_u32(at + 4))) << 2)

    @device
    def put_codes(block, unit, codes, tables):
        at = block + 2 + 8 * unit
        store_u8(at, number8(tables, quad(codes, 0)))
        store_u8(at + 1, number8(tables, quad(codes, 1)))
        store_u8(at + 2, number8(tables, quad(codes, 2)))
        store_u8(at + 3, number8(tables, quad(codes, 3)))
        signs = four_sevens(bytes_to_bits(codes & 4))
        store_u32(at + 4, load_u32(at + 4) | signs)

    @device
    def scale_byte(block, unit, k):
        return odd(load_u8(block + 9 + 8 * unit) >> 4)

    @device
    def put_scale_byte(block, unit, k, value):
        add_u8(block + 9 + 8 * unit, value >> 1 << 4)


class IQ2_XS(_Signed2):
    __doc__ = _Signed2.__doc__
    file_bytes, book, parts = 74, "IQ2_XS", 2

    @device
    def codes(block, unit, tables):
        at = block + 2 + 8 * unit
        signs = 0
        for k in range(4):
            signs |= (load_u16(at + 2 * k) >> 9) << (8 * k)
        points = from_quads(
            point(tables, load_u16(at) & 511),
            point(tables, load_u16(at + 2) & 511),
            point(tables, load_u16(at + 4) & 511),
            point(tables, load_u16(at + 6) & 511),
        )
        return points | (bits_to_bytes(even_signs(signs)) << 2)

    @device
    def put_codes(block, unit, codes, tables):
        at = block + 2 + 8 * unit
        store_u16(at, number8(tables, quad(codes, 0)))
        store_u16(at + 2, number8(tables, quad(codes, 1)))
        store_u16(at + 4, number8(tables, quad(codes, 2)))
        store_u16(at + 6, number8(tables, quad(codes, 3)))
        signs = bytes_to_bits(codes & 4)
        for k in range(4):
            store_u16(at + 2 * k, load_u16(at + 2 * k) | (((signs >> (8 * k)) & 127) << 9))

    @device
    def scale_byte(block, unit, k):
        return load_u8(block + 66 + unit)

    @device
    def put_scale_byte(block, unit, k, value):
        store_u8(block + 66 + unit, value)


class IQ2_S(_Signed2):
    __doc__ = _Signed2.__doc__
    file_bytes, book, parts = 82, "IQ2_S", 2

    @device
    def codes(block, unit, tables):
        at, high = block + 2 + 4 * unit, load_u8(block + 66 + unit) << 8
        points = from_quads(
            point(tables, load_u8(at) | (high & 0x300)),
            point(tables, load_u8(at + 1) | ((high >> 2) & 0x300)),
            point(tables, load_u8(at + 2) | ((high >> 4) & 0x300)),
            point(tables, load_u8(at + 3) | ((high >> 6) & 0x300)),
        )
        return points | (bits_to_bytes(load_u32(block + 34 + 4 * unit)) << 2)

    @device
    def put_codes(block, unit, codes, tables):
        at = block + 2 + 4 * unit
        a, b = number8(tables, quad(codes, 0)), number8(tables, quad(codes, 1))
        c, d = number8(tables, quad(codes, 2)), number8(tables, quad(codes, 3))
        store_u8(at, a)
        store_u8(at + 1, b)
        store_u8(at + 2, c)
        store_u8(at + 3, d)
        high = (a >> 8) | ((b >> 8) << 2) | ((c >> 8) << 4) | ((d >> 8) << 6)
        store_u8(block + 66 + unit, high)
        store_u32(block + 34 + 4 * unit, bytes_to_bits(codes & 4))

    @device
    def scale_byte(block, unit, k):
        return load_u8(block + 74 + unit)

    @device
    def put_scale_byte(block, unit, k, value):
        store_u8(block + 74 + unit, value)
