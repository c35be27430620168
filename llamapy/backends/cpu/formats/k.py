# mypy: check-untyped-defs=False
"""Blocks of 256 weights with small integer scales, and minima, for each 16 or 32."""

from __future__ import annotations

from ..kernel import device
from ..layouts import LargeLayout
from ..simd import (
    load_bytes16,
    load_bytes32,
    load_u8,
    load_u16,
    signed_ints,
    store,
    store_u8,
    store_u16,
    unsigned_ints,
)
from .few_bits import add_twos, load_twos
from .simple import IQ4_NL, load_nibbles, store_nibbles


@device
def add_u8(at, value):
    """Set these bits of a byte."""
    store_u8(at, load_u8(at) | value)


@device
def signed_number(at, part):
    """A signed byte."""
    return signed_ints(load_bytes16(at + 16 * part))


@device
def load_bit_of(at, unit):
    """32 codes of 1 bit, the unit's bit of each byte."""
    return (load_bytes32(at) >> unit) & 1


@device
def add_bit_of(at, unit, codes):
    store(at, load_bytes32(at) | (codes << unit))


@device
def load_double_nibbles(at, unit):
    """32 codes of 4 bits: each 32 bytes hold two units, the first in the low halves."""
    return (load_bytes32(at + 32 * (unit // 2)) >> (4 * (unit % 2))) & 15


@device
def add_double_nibbles(at, unit, codes):
    at += 32 * (unit // 2)
    store(at, load_bytes32(at) | (codes << (4 * (unit % 2))))


class Q2_K(LargeLayout):
    """w = d * scale * code - dmin * minimum, both of 4 bits and for 16 weights"""

    file_bytes, heads, bits, scale_bytes = 84, (80, 82), 2, 2
    parts, has_minimum = 2, True

    @device
    def codes(block, unit, tables):
        return load_twos(block + 16, unit)

    @device
    def put_codes(block, unit, codes, tables):
        add_twos(block + 16, unit, codes)

    @device
    def scale_byte(block, unit, k):
        return load_u8(block + 2 * unit + k)

    @device
    def put_scale_byte(block, unit, k, value):
        store_u8(block + 2 * unit + k, value)

    @device
    def number(at, part):
        return unsigned_ints(load_bytes16(at + 16 * part)) & 15

    @device
    def low(at, part):
        return unsigned_ints(load_bytes16(at + 16 * part)) >> 4


class Q3_K(LargeLayout):
    """w = d * scale * (code - 4), the scale of 6 bits and for 16 weights

    The low halves of the 16 scales are two to a byte, 8 apart; the upper bits four to a byte.
    """

    file_bytes, heads, bits, offset = 110, (108,), 3, 4
    parts, scale_bytes = 2, 2
    number = signed_number

    @device
    def codes(block, unit, tables):
        return load_twos(block + 32, unit) | (load_bit_of(block, unit) << 2)

    @device
    def put_codes(block, unit, codes, tables):
        add_twos(block + 32, unit, codes & 3)
        add_bit_of(block, unit, codes >> 2)

    @device
    def scale_byte(block, unit, k):
        i = 2 * unit + k
        low = (load_u8(block + 96 + i % 8) >> (4 * (i // 8))) & 15
        high = (load_u8(block + 104 + i % 4) >> (2 * (i // 4))) & 3
        return (low | (high << 4)) - 32

    @device
    def put_scale_byte(block, unit, k, value):
        i, value = 2 * unit + k, (value + 32) & 63
        add_u8(block + 96 + i % 8, (value & 15) << (4 * (i // 8)))
        add_u8(block + 104 + i % 4, (value >> 4) << (2 * (i // 4)))


class Q4_K(LargeLayout):
    """w = d * scale * code - dmin * minimum, both of 6 bits and for 32 weights

    Of the 12 bytes, four hold the first scales, four the first minima, with the upper bits of the
    other ones above them; four the low bits of those.
    """

    file_bytes, heads, bits, scale_bytes = 144, (0, 2), 4, 2
    has_minimum = True

    @device
    def codes(block, unit, tables):
        return load_double_nibbles(block + 16, unit)

    @device
    def put_codes(block, unit, codes, tables):
        add_double_nibbles(block + 16, unit, codes)

    @device
    def scale_byte(block, unit, k):
        own = load_u8(block + 4 + 4 * k + unit % 4)
        if unit < 4:
            return own & 63
        return ((load_u8(block + 8 + unit) >> (4 * k)) & 15) | ((own >> 6) << 4)

    @device
    def put_scale_byte(block, unit, k, value):
        own = block + 4 + 4 * k + unit % 4
        if unit < 4:
            add_u8(own, value)
        else:
            add_u8(block + 8 + unit, (value & 15) << (4 * k))
            add_u8(own, (value >> 4) << 6)

    @device
    def number(at, part):
        return unsigned_ints(load_bytes16(at))

    @device
    def low(at, part):
        return unsigned_ints(load_bytes16(at + 16))


class Q5_K(LargeLayout):
    """As Q4_K, with a fifth bit."""

    file_bytes, heads, bits, scale_bytes = 176, (0, 2), 5, 2
    has_minimum = True
    scale_byte, put_scale_byte = Q4_K.scale_byte, Q4_K.put_scale_byte
    number, low = Q4_K.number, Q4_K.low

    @device
    def codes(block, unit, tables):
        return load_double_nibbles(block + 48, unit) | (load_bit_of(block + 16, unit) << 4)

    @device
    def put_codes(block, unit, codes, tables):
        add_double_nibbles(block + 48, unit, codes & 15)
        add_bit_of(block + 16, unit, codes >> 4)


@device
def _six_bit_places(block, unit):
    """The low halves of a unit's codes, their shift, and the upper pairs of bits."""
    quarter = unit % 4
    low = block + 64 * (unit // 4) + 32 * (quarter % 2)
    return low, 4 * (quarter // 2), block + 128 + 32 * (unit // 4), 2 * quarter


class Q6_K(LargeLayout):
    """w = d * scale * (code - 32), the scale a signed byte and for 16 weights"""

    file_bytes, heads, bits, offset = 210, (208,), 6, 32
    parts, scale_bytes = 2, 2
    number = signed_number

    @device
    def codes(block, unit, tables):
        low, shift, high, up = _six_bit_places(block, unit)
        return ((load_bytes32(low) >> shift) & 15) | (((load_bytes32(high) >> up) & 3) << 4)

    @device
    def put_codes(block, unit, codes, tables):
        low, shift, high, up = _six_bit_places(block, unit)
        store(low, load_bytes32(low) | ((codes & 15) << shift))
        store(high, load_bytes32(high) | ((codes >> 4) << up))

    @device
    def scale_byte(block, unit, k):
        return load_u8(block + 192 + 2 * unit + k)

    @device
    def put_scale_byte(block, unit, k, value):
        store_u8(block + 192 + 2 * unit + k, value)


class IQ4_XS(LargeLayout):
    """w = d * scale * value[code], the scale of 6 bits and for 32 weights"""

    file_bytes, heads, bits, scale_bytes = 136, (0,), 4, 1
    table, offset = IQ4_NL.table, IQ4_NL.offset
    number = signed_number

    @device
    def codes(block, unit, tables):
        return load_nibbles(block + 8 + 16 * unit)

    @device
    def put_codes(block, unit, codes, tables):
        store_nibbles(block + 8 + 16 * unit, codes)

    @device
    def scale_byte(block, unit, k):
        low = (load_u8(block + 4 + unit // 2) >> (4 * (unit % 2))) & 15
        return (low | (((load_u16(block + 2) >> (2 * unit)) & 3) << 4)) - 32

    @device
    def put_scale_byte(block, unit, k, value):
        value = (value + 32) & 63
        add_u8(block + 4 + unit // 2, (value & 15) << (4 * (unit % 2)))
        store_u16(block + 2, load_u16(block + 2) | ((value >> 4) << (2 * unit)))
