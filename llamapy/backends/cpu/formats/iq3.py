# mypy: check-untyped-defs=False
"""Formats of about three bits: groups of 4 are points of a codebook of eight sizes, with signs."""

from __future__ import annotations

from ..bits import bits_to_bytes, bytes_to_bits, from_quads, quad
from ..kernel import device
from ..layouts import LargeLayout
from ..simd import load_u8, load_u32, store_u8, store_u32
from .grids import four_even_signs, four_sevens, number4, odd, odd_number, tables_of
from .k import add_u8

IQ3_XXS_VALUES = (4, 12, 20, 28, 36, 44, 52, 62)


class _Signed3(LargeLayout):
    """w = scale * sign * value: a value's number in three bits, and its sign"""

    heads, bits, offset, scale_bytes, number = (0,), 4, 64, 1, odd_number
    book: str

    @classmethod
    def tables(cls):
        return tables_of(cls.book, 3)


@device
def _two_points(tables, first, second):
    return load_u32(tables + 8 * first) | (load_u32(tables + 8 * second) << 32)


class IQ3_XXS(_Signed3):
    """w = d * (2s + 1) / 4 * sign * value: a value's number in three bits, and its sign"""

    file_bytes, book, step = 98, "IQ3_XXS", 0.25
    table = tuple(64 + sign * value for sign in (1, -1) for value in IQ3_XXS_VALUES)

    @device
    def codes(block, unit, tables):
        at = block + 2 + 8 * unit
        points = from_quads(
            _two_points(tables, load_u8(at), load_u8(at + 1)),
            _two_points(tables, load_u8(at + 2), load_u8(at + 3)),
            _two_points(tables, load_u8(at + 4), load_u8(at + 5)),
            _two_points(tables, load_u8(at + 6), load_u8(at + 7)),
        )
        return points | (bits_to_bytes(four_even_signs(load_u32(block + 66 + 4 * unit))) << 3)

    @device
    def put_codes(block, unit, codes, tables):
        at = block + 2 + 8 * unit
        a, b, c, d = quad(codes, 0), quad(codes, 1), quad(codes, 2), quad(codes, 3)
        for pair in (a, b, c, d):
            store_u8(at, number4(tables, pair))
            store_u8(at + 1, number4(tables, pair >> 32))
            at += 2
        signs = four_sevens(bytes_to_bits(codes & 8))
        store_u32(block + 66 + 4 * unit, load_u32(block + 66 + 4 * unit) | signs)

    @device
    def scale_byte(block, unit, k):
        return odd(load_u8(block + 69 + 4 * unit) >> 4)

    @device
    def put_scale_byte(block, unit, k, value):
        add_u8(block + 69 + 4 * unit, value >> 1 << 4)


@device
def _ninth(high, k):
    """The k-th of eight upper bits, as bit 8."""
    return ((high >> k) & 1) << 8


class IQ3_S(_Signed3):
    """w = d * (2s + 1) * sign * value: a value's number in three bits, and its sign"""

    file_bytes, book = 110, "IQ3_S"
    table = tuple(64 + sign * value for sign in (1, -1) for value in range(1, 16, 2))

    @device
    def codes(block, unit, tables):
        at, high = block + 2 + 8 * unit, load_u8(block + 66 + unit)
        points = from_quads(
            _two_points(tables, load_u8(at) | _ninth(high, 0), load_u8(at + 1) | _ninth(high, 1)),
            _two_points(
                tables, load_u8(at + 2) | _ninth(high, 2), load_u8(at + 3) | _ninth(high, 3)
            ),
            _two_points(
                tables, load_u8(at + 4) | _ninth(high, 4), load_u8(at + 5) | _ninth(high, 5)
            ),
            _two_points(
                tables, load_u8(at + 6) | _ninth(high, 6), load_u8(at + 7) | _ninth(high, 7)
            ),
        )
        return points | (bits_to_bytes(load_u32(block + 74 + 4 * unit)) << 3)

    @device
    def put_codes(block, unit, codes, tables):
        at, high = block + 2 + 8 * unit, 0
        a, b, c, d = quad(codes, 0), quad(codes, 1), quad(codes, 2), quad(codes, 3)
        k = 0
        for pair in (a, b, c, d):
            first, second = number4(tables, pair), number4(tables, pair >> 32)
            store_u8(at + k, first)
            store_u8(at + k + 1, second)
            high |= ((first >> 8) << k) | ((second >> 8) << (k + 1))
            k += 2
        store_u8(block + 66 + unit, high)
        store_u32(block + 74 + 4 * unit, bytes_to_bits(codes & 8))

    @device
    def scale_byte(block, unit, k):
        return odd((load_u8(block + 106 + unit // 2) >> (4 * (unit % 2))) & 15)

    @device
    def put_scale_byte(block, unit, k, value):
        add_u8(block + 106 + unit // 2, value >> 1 << (4 * (unit % 2)))
