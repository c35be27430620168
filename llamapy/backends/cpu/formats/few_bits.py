# mypy: check-untyped-defs=False
"""Weights of one or two bits under a scale: signs, four levels, and three."""

from __future__ import annotations

from ..bits import (
    bits_to_bytes,
    bytes_to_bits,
    bytes_to_pairs,
    from_quads,
    pairs_to_bytes,
    quad,
    thirds,
)
from ..kernel import device
from ..layouts import LargeLayout, Layout
from ..simd import (
    first_half,
    load_bytes16,
    load_bytes32,
    load_i64,
    load_u8,
    load_u32,
    second_half,
    side_by_side,
    store,
    store_i64,
    store_u8,
    store_u32,
)


@device
def load_twos(at, unit):
    """32 codes of 2 bits: each 32 bytes hold four units, the first in the lowest bits."""
    return (load_bytes32(at + 32 * (unit // 4)) >> (2 * (unit % 4))) & 3


@device
def add_twos(at, unit, codes):
    at += 32 * (unit // 4)
    store(at, load_bytes32(at) | (codes << (2 * (unit % 4))))


class Q1_0(Layout):
    """w = d where the bit is set, else -d"""

    columns, file_bytes, heads, bits = 128, 18, (0,), 1
    has_minimum = True

    @device
    def codes(block, unit, tables):
        return bits_to_bytes(load_u32(block + 2 + 4 * unit))

    @device
    def put_codes(block, unit, codes, tables):
        store_u32(block + 2 + 4 * unit, bytes_to_bits(codes))

    @device
    def scale(d, at, part):
        return d + d

    @device
    def minimum(d, m, at, part):
        return d


class Q2_0(Layout):
    """w = d * (code - 1), four neighbours in a byte"""

    columns, file_bytes, heads, bits, offset = 64, 18, (0,), 2, 1

    @device
    def codes(block, unit, tables):
        return pairs_to_bytes(load_i64(block + 2 + 8 * unit))

    @device
    def put_codes(block, unit, codes, tables):
        store_i64(block + 2 + 8 * unit, bytes_to_pairs(codes))


class TQ2_0(LargeLayout):
    """w = d * (code - 1)"""

    file_bytes, heads, bits, offset = 66, (64,), 2, 1

    @device
    def codes(block, unit, tables):
        return load_twos(block, unit)

    @device
    def put_codes(block, unit, codes, tables):
        add_twos(block, unit, codes)


@device
def _power_of_3(exponent):
    """For exponents up to 4, from a table of bytes: there is no loop to wait for."""
    return (0x511B090301 >> (8 * exponent)) & 255


@device
def _last_digits(at, power):
    """Two digits of four bytes, as fractions still to be read: the first four times, the second."""
    digits = 0
    for k in range(4):
        value = load_u8(at + k) * power
        digits |= (value & 255) << (8 * k)
        digits |= ((value * 3) & 255) << (32 + 8 * k)
    return digits


@device
def _finish(at):
    """Digits times powers of 3, added up, as the fraction whose digits come out by thirds."""
    store_u8(at, (load_u8(at) * 256 + 242) // 243)


class TQ1_0(LargeLayout):
    """w = d * (code - 1), five codes to a byte; widened here to two bits each

    Digits in base 3: byte m holds columns m, 32 + m ... 128 + m for the first 32 bytes, then
    16 bytes hold five columns that are 16 apart, and 4 bytes four columns that are 4 apart.
    """

    file_bytes, heads, bits, offset = 54, (52,), 2, 1

    @device
    def codes(block, unit, tables):
        if unit < 5:
            return thirds(load_bytes32(block) * _power_of_3(unit))
        low = load_bytes16(block + 32) * _power_of_3(2 * unit - 10)
        if unit < 7:
            return thirds(side_by_side(low, low * 3))
        digits = from_quads(_last_digits(block + 48, 1), _last_digits(block + 48, 9), 0, 0)
        return thirds(side_by_side(low, first_half(digits)))

    @device
    def put_codes(block, unit, codes, tables):
        if unit < 5:
            store(block, load_bytes32(block) + codes * _power_of_3(4 - unit))
        elif unit < 7:
            digits = first_half(codes) * 3 + second_half(codes)
            power = _power_of_3(13 - 2 * unit)
            store(block + 32, load_bytes16(block + 32) + digits * power)
        else:
            store(block + 32, load_bytes16(block + 32) + first_half(codes))
            low, high = quad(codes, 2), quad(codes, 3)
            for k in range(4):
                digits = 27 * ((low >> (8 * k)) & 3) + 9 * ((low >> (32 + 8 * k)) & 3)
                digits += 3 * ((high >> (8 * k)) & 3) + ((high >> (32 + 8 * k)) & 3)
                store_u8(block + 48 + k, 3 * digits)
            for k in range(52):
                _finish(block + k)
