# mypy: check-untyped-defs=False
"""How weights lie in memory: sixteen rows side by side, in the pieces that a register takes in.

A matrix is cut into groups of 16 rows, each group into blocks of its format, each block into units
of 32 columns:

    group    block | block | ...
    block    heads, 16 halves each (the block's scale d, and its minimum m) | unit | unit | ...
    unit     scale bytes, 16 for each | planes of codes

A code is the small number that a format keeps for a weight. Its bits lie in one or two planes: a
plane of b bits has b registers of 64 bytes for a unit, each byte of which holds 8 / b columns of a
row. So eight registers of 16 rows x 4 columns come out of a unit, by a shift and a mask:

    register r of a plane = (word[r // n] >> b * (r % n)) & (2 ** b - 1)      n = 8 / b

A format says here where its codes and scales are in the file's block, how to put them back (a
layout loses nothing), and what they mean: w = scale * (code - offset) - minimum, or with a table,
w = scale * (table[code] - offset).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from . import dots
from . import instructions as code
from .kernel import device, once
from .simd import bytes32, load_u16, store_u16

ROWS = 16
UNIT = 32


class Layout:
    """The layout of one block format; never instantiated.

    Its functions are compiled. `block` is the address of a block in the file's bytes, `unit` the
    number of its 32 columns, `tables` an address of what the format looks up, `at` that of a packed
    unit. `codes` and `put_codes`, `scale_byte` and `put_scale_byte` undo each other, where what is
    put back lands on zeros.
    """

    columns: ClassVar[int]
    file_bytes: ClassVar[int]
    # where the block's halves are in the file
    heads: ClassVar[tuple[int, ...]] = ()
    scale_bytes: ClassVar[int] = 0
    planes: ClassVar[tuple[int, ...]]
    parts: ClassVar[int] = 1  # scales for a unit: one for 32 columns, or one for each 16
    has_minimum: ClassVar[bool] = False
    offset: ClassVar[int] = 0
    table: ClassVar[tuple[int, ...] | None] = None

    codes: Any
    put_codes: Any

    @device
    def head(block, at):
        return load_u16(block + at)

    @device
    def put_head(block, at, bits):
        store_u16(block + at, bits)

    @device
    def scale_byte(block, unit, k):
        return 0

    @device
    def put_scale_byte(block, unit, k, value):
        pass

    @device
    def scale(d, at, part):
        return d

    @device
    def minimum(d, m, at, part):
        return d

    @classmethod
    def tables(cls) -> tuple[np.ndarray, np.ndarray]:
        """What packing and unpacking look up, for formats whose codes are indices into a grid."""
        return np.zeros(1, np.uint64), np.zeros(1, np.uint16)

    # ---- sizes

    @classmethod
    def units(cls) -> int:
        """Units in a block."""
        return cls.columns // UNIT

    @classmethod
    def head_size(cls) -> int:
        """Bytes of the halves of 16 blocks."""
        return 2 * ROWS * len(cls.heads)

    @classmethod
    def codes_at(cls) -> int:
        """Where the planes start in a unit."""
        return ROWS * cls.scale_bytes

    @classmethod
    def unit_size(cls) -> int:
        """Bytes of 16 rows x 32 columns, heads left out."""
        return cls.codes_at() + 64 * sum(cls.planes)

    @classmethod
    def block_size(cls) -> int:
        """Bytes of 16 blocks side by side."""
        return cls.head_size() + cls.units() * cls.unit_size()

    @classmethod
    def bits_per_weight(cls) -> float:
        """Bits that a weight takes, scales included."""
        return cls.block_size() * 8 / (ROWS * cls.columns)

    @classmethod
    def packed_bytes(cls, rows: int, columns: int) -> int:
        """Bytes of a whole matrix."""
        return -(-rows // ROWS) * (columns // cls.columns) * cls.block_size()

    @classmethod
    def largest(cls) -> int:
        """The largest number that a dot product meets."""
        return max(cls.table) if cls.table else (1 << sum(cls.planes)) - 1


# ---- planes


def _fields(planes):
    """Each plane's bits, where its bits are in a code, and its first register."""
    position, first = 0, 0
    for bits in planes:
        yield bits, position, first
        position += bits
        first += bits


def _pieces(bits):
    """The columns at each place in a plane's words: those that move by the same shift."""
    per_word = 8 // bits
    for k in range(per_word):
        yield [4 * (word * per_word + k) + j for word in range(bits) for j in range(4)]


def _shift_masked(builder, word, shift):
    """Bytes shifted to the right, or the left, where a mask will remove what comes from neighbours.

    There are shifts of 16 bits everywhere; of bytes, at best in a unit that is needed elsewhere.
    """
    pairs = code.vector(code.I16, word.type.count // 2)
    move = builder.lshr if shift > 0 else builder.shl
    moved = move(builder.bitcast(word, pairs), code.constant(pairs, abs(shift)))
    return builder.bitcast(moved, word.type)


class Unit:
    """The code of a unit's eight registers, read and taken apart as they are asked for."""

    def __init__(self, builder, layout, codes):
        self.builder, self.layout, self.address = builder, layout, codes
        self._words = {}

    def _word(self, k):
        if k not in self._words:
            kind = code.vector(code.I8, 64)
            self._words[k] = code.load(self.builder, self.address, kind, 64 * k)
        return self._words[k]

    def codes(self, register):
        """The codes of columns 4 * register to 4 * register + 3: bytes64."""
        builder, result = self.builder, None
        for bits, position, first in _fields(self.layout.planes):
            per_word = 8 // bits
            word = self._word(first + register // per_word)
            shift = bits * (register % per_word) - position
            if shift:
                word = _shift_masked(builder, word, shift)
            if bits < 8:
                mask = ((1 << bits) - 1) << position
                word = builder.and_(word, code.constant(word.type, mask))
            result = word if result is None else builder.or_(result, word)
        return result

    def numbers(self, register):
        """What a dot product takes: the codes, or what the table makes of them."""
        codes = self.codes(register)
        if self.layout.table is None:
            return codes
        return dots.look_up(self.builder, list(self.layout.table), codes)

    def columns(self, register):
        """Four columns as whole numbers with the offset taken off: floats16 each."""
        builder = self.builder
        ints, floats = code.vector(code.I32, ROWS), code.vector(code.FLOAT, ROWS)
        numbers = builder.bitcast(self.numbers(register), ints)
        for k in range(4):
            column = builder.lshr(numbers, code.constant(ints, 8 * k)) if k else numbers
            if k < 3:
                column = builder.and_(column, code.constant(ints, 255))
            column = builder.sub(column, code.constant(ints, self.layout.offset))
            yield builder.sitofp(column, floats)


@once
def plane_writer(planes):
    """put(at, codes): the 32 codes of one row into the planes of a unit; `at` is the row's byte."""

    @intrinsic
    def put(typing, at, codes):
        def lower(context, builder, sig, args):
            at, codes = args
            for bits, position, first in _fields(planes):
                mask = (1 << bits) - 1
                field = codes
                if position:
                    field = builder.lshr(field, code.constant(field.type, position))
                if bits < 8:
                    field = builder.and_(field, code.constant(field.type, mask))
                folded = None
                for k, lanes in enumerate(_pieces(bits)):
                    piece = code.shuffle(builder, field, lanes)
                    if k:
                        piece = builder.shl(piece, code.constant(piece.type, bits * k))
                    folded = piece if folded is None else builder.or_(folded, piece)
                words = builder.bitcast(folded, code.vector(code.I32, bits))
                for k in range(bits):
                    word = builder.extract_element(words, ir.Constant(code.I32, k))
                    code.store(builder, word, at, 64 * (first + k))
            return context.get_dummy_value()

        return types.void(types.int64, bytes32), lower

    return put


@once
def plane_reader(planes):
    """take(at): the 32 codes of one row from the planes of a unit."""

    @intrinsic
    def take(typing, at):
        def lower(context, builder, sig, args):
            result = None
            for bits, position, first in _fields(planes):
                words = code.constant(code.vector(code.I32, bits), 0)
                for k in range(bits):
                    word = code.load(builder, args[0], code.I32, 64 * (first + k))
                    words = builder.insert_element(words, word, ir.Constant(code.I32, k))
                folded = builder.bitcast(words, code.vector(code.I8, 4 * bits))
                pieces = [
                    builder.lshr(folded, code.constant(folded.type, bits * k))
                    for k in range(8 // bits)
                ]
                order = [lane for lanes in _pieces(bits) for lane in lanes]
                back = [order.index(lane) for lane in range(UNIT)]
                field = code.shuffle(builder, code.join(builder, pieces), back)
                if bits < 8:
                    field = builder.and_(field, code.constant(field.type, (1 << bits) - 1))
                if position:
                    field = builder.shl(field, code.constant(field.type, position))
                result = field if result is None else builder.or_(result, field)
            return result

        return bytes32(types.int64), lower

    return take
