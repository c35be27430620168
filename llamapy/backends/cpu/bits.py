# mypy: check-untyped-defs=False
"""Small numbers packed in bits: operations on 32 bytes that formats are unpacked with."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from . import instructions as code
from .simd import bytes32, convert, word


def _bits_to_bytes(builder, value):
    bits = builder.bitcast(builder.trunc(value, code.I32), code.vector(code.I1, 32))
    return builder.zext(bits, bytes32.llvm)


def _bytes_to_bits(builder, value):
    bits = builder.icmp_unsigned("!=", value, code.constant(bytes32.llvm, 0))
    return builder.zext(builder.bitcast(bits, code.I32), code.I64)


_PAIR_SHIFTS = [0, 2, 4, 6] * 8


def _pairs_to_bytes(builder, value):
    packed = builder.bitcast(value, code.vector(code.I8, 8))
    order = ir.Constant(code.vector(code.I32, 32), [k // 4 for k in range(32)])
    repeated = builder.shuffle_vector(packed, packed, order)
    moved = builder.lshr(repeated, code.constant(bytes32.llvm, _PAIR_SHIFTS))
    return builder.and_(moved, code.constant(bytes32.llvm, 3))


def _bytes_to_pairs(builder, value):
    moved = builder.shl(value, code.constant(bytes32.llvm, _PAIR_SHIFTS))
    words = builder.bitcast(moved, code.vector(code.I32, 8))
    for shift in (8, 16):
        words = builder.or_(words, builder.lshr(words, code.constant(words.type, shift)))
    return builder.bitcast(builder.trunc(words, code.vector(code.I8, 8)), code.I64)


def _swap_middle(builder, value):
    lanes = [8 * quarter + k for quarter in (0, 2, 1, 3) for k in range(8)]
    order = ir.Constant(code.vector(code.I32, 32), lanes)
    return builder.shuffle_vector(value, value, order)


def _thirds(builder, value):
    words = code.vector(code.I16, 32)
    tripled = builder.mul(builder.zext(value, words), code.constant(words, 3))
    return builder.trunc(builder.lshr(tripled, code.constant(words, 8)), bytes32.llvm)


def _from_quads(builder, *quads):
    value = code.constant(code.vector(code.I64, 4), 0)
    for k, quad in enumerate(quads):
        value = builder.insert_element(value, quad, ir.Constant(code.I32, k))
    return builder.bitcast(value, bytes32.llvm)


@intrinsic
def quad(typing, value, k):
    """Eight of the 32 bytes as one int64, from byte 8 * k on; k is a constant."""
    if not isinstance(k, types.IntegerLiteral):
        return None

    def lower(context, builder, sig, args):
        quads = builder.bitcast(args[0], code.vector(code.I64, 4))
        return builder.extract_element(quads, ir.Constant(code.I32, k.literal_value))

    return types.int64(value, k), lower


# 32 bits become 32 bytes of 0 or 1, the lowest bit first; and back, where any other byte is a 1
bits_to_bytes = convert("bits_to_bytes", types.int64, bytes32, _bits_to_bytes)
bytes_to_bits = convert("bytes_to_bits", bytes32, types.int64, _bytes_to_bits)
# 32 pairs of bits become 32 bytes of 0 to 3, the lowest pair first; and back
pairs_to_bytes = convert("pairs_to_bytes", types.int64, bytes32, _pairs_to_bytes)
bytes_to_pairs = convert("bytes_to_pairs", bytes32, types.int64, _bytes_to_pairs)
# the second and the third quarter change places
swap_middle = convert("swap_middle", bytes32, bytes32, _swap_middle)
# each byte's whole part of 3 * byte / 256: the first digit of a base-3 fraction
thirds = convert("thirds", bytes32, bytes32, _thirds)
from_quads = word("from_quads", bytes32, (types.int64,) * 4, _from_quads)
