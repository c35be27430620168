# mypy: check-untyped-defs=False
"""How weights lie in memory: sixteen rows side by side, in the pieces that a register takes in.

A matrix is cut into groups of 16 rows, each group into blocks of its format, each block into units
of 32 columns:

    group    block | block | ...
    block    heads, 16 halves each (the block's scale d, and its minimum m) | unit | unit | ...
    unit     scale bytes, 16 for each | words of codes

A code is the small number that a format keeps for a weight. Codes of b bits take b words of 64
bytes for a unit, and eight registers of 16 rows x 4 columns come out of them. The n = 8 / b codes
that fit into a byte whole come by a shift and a mask:

    register r = (word[r // n] >> b * (r % n)) & (2 ** b - 1)

Of 3, 5 and 6 bits some are left at the top of each byte, and make up the last registers' codes:
whole codes are cheaper to take out, and so there are as many of them as can be.

A format says here where its codes and scales are in the file's block, how to put them back (a
layout loses nothing), and what they mean: w = scale * (code - offset) - minimum, or with a table,
w = scale * (table[code] - offset).
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from . import dots
from . import instructions as code
from .kernel import device, once
from .simd import bytes32, load_u16, repeat_int, store_u16

ROWS = 16
UNIT = 32


class Run(NamedTuple):
    """Bits of a code: where they are in the word, how many, and their position in the code."""

    word: int
    bit: int
    width: int
    position: int


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
    bits: ClassVar[int]  # of a code
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
    def group(cls) -> int:
        """Columns of activations that share a scale."""
        return UNIT

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
        """Where the words start in a unit."""
        return ROWS * cls.scale_bytes

    @classmethod
    def unit_size(cls) -> int:
        """Bytes of 16 rows x 32 columns, heads left out."""
        return cls.codes_at() + 64 * cls.bits

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
        return max(cls.table) if cls.table else (1 << cls.bits) - 1


class LargeLayout(Layout):
    """The layout of a format with blocks of 256, whose units are scaled by whole numbers:

    w = d * number * (code - offset) - m * low, d and m being the block's; without a half of its own
    m is d. Both are multiplied by `step`, a power of two.
    """

    columns = 256
    step: ClassVar[float] = 1.0

    low: Any = None  # low(at, part), as ints16

    @device
    def number(at, part):
        return repeat_int(1)

    @classmethod
    def group(cls) -> int:
        return cls.columns


# ---- codes in their words


@functools.cache
def places(bits: int) -> list[list[Run]]:
    """Where the code of each of the eight registers is: its runs of bits, the lowest first."""
    whole, runs = 8 // bits, []
    for register in range(bits * whole):
        runs.append([Run(register // whole, bits * (register % whole), bits, 0)])
    left = [(word, bit) for word in range(bits) for bit in range(bits * whole, 8)]
    for start in range(0, len(left), bits):
        own: list[Run] = []
        for position, (word, bit) in enumerate(left[start : start + bits]):
            if own and own[-1].word == word:
                own[-1] = own[-1]._replace(width=own[-1].width + 1)
            else:
                own.append(Run(word, bit, 1, position))
        runs.append(own)
    return runs


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

    def codes(self, register, masked=True):
        """The codes of columns 4 * register to 4 * register + 3: bytes64.

        Unless `masked`, bits of others may stand above a code.
        """
        builder, result = self.builder, None
        runs = places(self.layout.bits)[register]
        for run in runs:
            value, shift = self._word(run.word), run.bit - run.position
            if shift:
                value = _shift_masked(builder, value, shift)
            if run.width < 8 and (masked or len(runs) > 1):
                mask = ((1 << run.width) - 1) << run.position
                value = builder.and_(value, code.constant(value.type, mask))
            result = value if result is None else dots.put_together(builder, result, value)
        return result

    def numbers(self, register):
        """What a dot product takes: the codes, or what the table makes of them."""
        table = self.layout.table
        if table is None:
            return self.codes(register)
        codes = self.codes(register, masked=not dots.looks_at_few_bits())
        return dots.look_up(self.builder, list(table), codes)

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


ALL_BITS = -1


def _bits_of_bytes(count):
    """A mask for the first bits of each of four bytes."""
    return ((1 << count) - 1) * 0x01010101 if count < 8 else ALL_BITS


def _moved(builder, source, moves, count):
    """Bits of the words of a register put elsewhere, as a register of `count` words.

    `moves` has for each word of the result a list of (word, bit, mask, new bit): the first moves of
    all words are made side by side, then the second ones.
    """
    kind, result = code.vector(code.I32, count), None
    for k in range(max(map(len, moves))):
        each = [own[k] if k < len(own) else (0, 0, 0, 0) for own in moves]
        value = code.shuffle(builder, source, [word for word, *_ in each])
        value = builder.lshr(value, ir.Constant(kind, [bit for _, bit, _, _ in each]))
        value = builder.and_(value, ir.Constant(kind, [mask for _, _, mask, _ in each]))
        value = builder.shl(value, ir.Constant(kind, [bit for *_, bit in each]))
        result = value if result is None else builder.or_(result, value)
    return result


@once
def code_writer(bits):
    """put(at, codes): the 32 codes of one row into the words of a unit; `at` is the row's byte."""
    moves: list[list[tuple[int, int, int, int]]] = [[] for _ in range(bits)]
    for register, runs in enumerate(places(bits)):
        for run in runs:
            # above a code there is nothing
            mask = ALL_BITS if run.width == bits else _bits_of_bytes(run.width)
            moves[run.word].append((register, run.position, mask, run.bit))

    @intrinsic
    def put(typing, at, codes):
        def lower(context, builder, sig, args):
            at, codes = args
            registers = builder.bitcast(codes, code.vector(code.I32, 8))
            words = _moved(builder, registers, moves, bits)
            for k in range(bits):
                word = builder.extract_element(words, ir.Constant(code.I32, k))
                code.store(builder, word, at, 64 * k)
            return context.get_dummy_value()

        return types.void(types.int64, bytes32), lower

    return put


@once
def code_reader(bits):
    """take(at): the 32 codes of one row from the words of a unit."""
    moves = [
        [(run.word, run.bit, _bits_of_bytes(run.width), run.position) for run in own]
        for own in places(bits)
    ]

    @intrinsic
    def take(typing, at):
        def lower(context, builder, sig, args):
            words = code.constant(code.vector(code.I32, bits), 0)
            for k in range(bits):
                word = code.load(builder, args[0], code.I32, 64 * k)
                words = builder.insert_element(words, word, ir.Constant(code.I32, k))
            return builder.bitcast(_moved(builder, words, moves, 8), bytes32.llvm)

        return bytes32(types.int64), lower

    return take
