# mypy: check-untyped-defs=False
"""Weights that are numbers as they stand: F32, F16 and BF16, sixteen rows side by side.

    group    word | word | ...          64 or 32 bytes: one number of each of 16 rows

A word is one column, but of BF16 two neighbours, as the instruction for their dot products wants
them. A product with float32 activations widens each weight; BF16 may also be multiplied with
activations rounded to BF16, two at once, where the processor has that.
"""

from __future__ import annotations

from typing import Any, ClassVar

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from . import dots
from . import instructions as code
from .kernel import Kernel, device, kernel, once
from .layouts import ROWS
from .simd import (
    copies,
    floats16,
    least,
    load_first_floats,
    load_floats16,
    load_u16,
    load_u32,
    narrow_bf16,
    repeat_float,
    store,
    store_first,
    store_u16,
    store_u32,
    stream_ahead,
)
from .tiles import add_columns, parts_of, present_rows, tile_store

# columns, or pairs of them, between two looks at the loop
STEP = 8
# so many tokens take so little time that the processor reads ahead by itself, at its best unasked
QUICK = 2
_FLOATS, _INTS = floats16.llvm, code.vector(code.I32, ROWS)


class FloatLayout:
    """The layout of one number type; never instantiated."""

    columns: ClassVar[int] = 1
    file_bytes: ClassVar[int]
    word_bytes: ClassVar[int]

    @classmethod
    def bits_per_weight(cls) -> float:
        """Bits that a weight takes."""
        return 8.0 * cls.file_bytes

    @classmethod
    def group_bytes(cls, columns: int) -> int:
        """Bytes of 16 rows."""
        return -(-columns * cls.file_bytes // cls.word_bytes) * cls.word_bytes * ROWS

    @classmethod
    def packed_bytes(cls, rows: int, columns: int) -> int:
        """Bytes of a whole matrix."""
        return -(-rows // ROWS) * cls.group_bytes(columns)

    @staticmethod
    def weights(builder, address, column):
        """One column of 16 rows, as float32; `address` is that of a word's start."""
        raise NotImplementedError


class F32(FloatLayout):
    """Single precision."""

    file_bytes = word_bytes = 4

    @staticmethod
    def weights(builder, address, column):
        return code.load(builder, address, _FLOATS, 64 * column)


class F16(FloatLayout):
    """Half precision."""

    file_bytes = word_bytes = 2

    @staticmethod
    def weights(builder, address, column):
        halves = code.load(builder, address, code.vector(code.HALF, ROWS), 32 * column)
        return code.half_to_float(builder, halves)


class BF16(FloatLayout):
    """The upper halves of single precision, in pairs of columns."""

    file_bytes, word_bytes = 2, 4

    @staticmethod
    def weights(builder, address, column):
        pairs = code.load(builder, address, _INTS, 64 * (column // 2))
        if column % 2:
            bits = builder.and_(pairs, code.constant(_INTS, -65536))
        else:
            bits = builder.shl(pairs, code.constant(_INTS, 16))
        return builder.bitcast(bits, _FLOATS)


FLOAT_LAYOUTS: dict[str, type[FloatLayout]] = {"F32": F32, "F16": F16, "BF16": BF16}


# ---- packing


@once
def turner(element):
    """turn(source, source_row, target, target_row): 16 x 16 numbers, rows becoming columns."""
    kind, half = code.vector(element, ROWS), ROWS // 2
    low = [k // 2 + ROWS * (k % 2) for k in range(ROWS)]
    picks = [
        ir.Constant(code.vector(code.I32, ROWS), [lane + shift for lane in low])
        for shift in (0, half)
    ]

    @intrinsic
    def turn(typing, source, source_row, target, target_row):
        def lower(context, builder, sig, args):
            source, source_row, target, target_row = args
            rows = []
            for _ in range(ROWS):
                rows.append(code.load(builder, source, kind))
                source = builder.add(source, source_row)
            for _ in range(4):  # a perfect shuffle, four times over, is the transposition
                rows = [
                    builder.shuffle_vector(rows[k], rows[k + half], pick)
                    for k in range(half)
                    for pick in picks
                ]
            for row in rows:
                code.store(builder, row, target)
                target = builder.add(target, target_row)
            return context.get_dummy_value()

        return types.void(*(types.int64,) * 4), lower

    return turn


@once
def float_packer(layout: type[FloatLayout], back: bool) -> Kernel:
    """pack(raw, row_bytes, rows, packed, tables), over groups of 16 rows; `back` to the rows."""
    size = layout.word_bytes
    turn = turner(code.I16 if size == 2 else code.I32)
    load, write = (load_u16, store_u16) if size == 2 else (load_u32, store_u32)
    line = ROWS * size

    @device
    def move(there, here):
        if back:
            write(there, load(here))
        else:
            write(here, load(there))

    @device
    def move_half(there, here):
        """The last column of an odd number of BF16."""
        if back:
            store_u16(there, load_u16(here))
        else:
            store_u16(here, load_u16(there))

    @kernel(f"{'unpack' if back else 'pack'}_{layout.__name__}")
    def pack(raw, row_bytes, rows, packed, tables, first, last, thread):
        words = row_bytes // size
        odd = row_bytes % size > 0
        for group in range(first, last):
            start, at = raw + group * ROWS * row_bytes, packed + group * (words + odd) * line
            present = least(ROWS, rows - group * ROWS)
            turned = words // ROWS * ROWS if present == ROWS else 0
            for word in range(0, turned, ROWS):
                if back:
                    turn(at + word * line, line, start + word * size, row_bytes)
                else:
                    turn(start + word * size, row_bytes, at + word * line, line)
            for row in range(present):
                there, here = start + row * row_bytes, at + row * size
                for word in range(turned, words):
                    move(there + word * size, here + word * line)
                if odd:
                    move_half(there + words * size, here + words * line)

    return pack


# ---- products


@once
def columns_product(layout, tokens, count):
    """product(sums, weights, x, row_bytes, tokens): add so many columns, of float32 activations."""
    tile = types.UniTuple(floats16, tokens)

    @intrinsic
    def product(typing, sums, weights, x, row_bytes, present):
        def lower(context, builder, sig, args):
            totals, weights, x, row_bytes, present = args
            totals = parts_of(builder, totals)
            rows = present_rows(builder, x, row_bytes, present, tokens)
            columns = (layout.weights(builder, weights, k) for k in range(count))
            add_columns(builder, totals, columns, rows)
            return context.make_tuple(builder, sig.return_type, totals)

        return tile(tile, *(types.int64,) * 4), lower

    return product


@once
def pairs_product(tokens, count):
    """product(sums, weights, x, row_bytes, tokens): so many pairs of columns, activations BF16."""
    tile = types.UniTuple(floats16, tokens)

    @intrinsic
    def product(typing, sums, weights, x, row_bytes, present):
        def lower(context, builder, sig, args):
            totals, weights, x, row_bytes, present = args
            totals = parts_of(builder, totals)
            rows = present_rows(builder, x, row_bytes, present, tokens)
            for k in range(count):
                weight = code.load(builder, weights, _INTS, 64 * k)
                for m, row in enumerate(rows):
                    pair = code.load_repeated(builder, row, code.I32, ROWS, 4 * k)
                    totals[m] = dots.dot2_bf16(builder, totals[m], weight, pair)
            return context.make_tuple(builder, sig.return_type, totals)

        return tile(tile, *(types.int64,) * 4), lower

    return product


@once
def float_rows(layout: type[FloatLayout], tile: int, streamed: bool) -> Any:
    """multiply(weights, x, x_row, present, columns): the sums of 16 rows for a tile of tokens."""
    word_bytes, per_word = layout.word_bytes, layout.word_bytes // layout.file_bytes
    many, word, one = (columns_product(layout, tile, count) for count in (STEP, per_word, 1))
    step_bytes = STEP * ROWS * layout.file_bytes
    lines = step_bytes // 64 if streamed and tile > QUICK else 0

    @device
    def multiply_rows(weights, x, x_row, present, columns):
        sums = copies(repeat_float(0.0), tile)
        for _ in range(columns // STEP):
            stream_ahead(weights, lines)
            sums = many(sums, weights, x, x_row, present)
            weights += step_bytes
            x += 4 * STEP
        for _ in range(columns % STEP // per_word):
            sums = word(sums, weights, x, x_row, present)
            weights += word_bytes * ROWS
            x += 4 * per_word
        if columns % per_word:
            sums = one(sums, weights, x, x_row, present)
        return sums

    return multiply_rows


@once
def plain_matmul(
    layout: type[FloatLayout], tile: int, *, streamed: bool, adds: bool = False
) -> Kernel:
    """matmul(out, out_row, weights, x, x_row, columns, rows, tokens), over groups of 16 rows."""
    word_bytes, per_word = layout.word_bytes, layout.word_bytes // layout.file_bytes
    multiply_rows, put = float_rows(layout, tile, streamed), tile_store(tile, adds)

    @kernel(_name("plain", layout.__name__, tile, streamed, adds))
    def matmul(out, out_row, weights, x, x_row, columns, rows, tokens, first, last, thread):
        group_bytes = (columns + per_word - 1) // per_word * word_bytes * ROWS
        for token in range(0, tokens, tile):
            for group in range(first, last):
                at, present = weights + group * group_bytes, tokens - token
                sums = multiply_rows(at, x, x_row, present, columns)
                put(out + 64 * group, out_row, sums, present, rows - ROWS * group)
            x += tile * x_row
            out += tile * out_row

    return matmul


@once
def paired_matmul(tile: int, *, streamed: bool, adds: bool = False) -> Kernel:
    """The same of BF16 weights and activations; `columns` is even, both filled up with zeros."""
    many, one, put = pairs_product(tile, STEP), pairs_product(tile, 1), tile_store(tile, adds)
    lines = STEP if streamed and tile > QUICK else 0

    @device
    def multiply_rows(weights, x, x_row, present, pairs):
        sums = copies(repeat_float(0.0), tile)
        for _ in range(pairs // STEP):
            stream_ahead(weights, lines)
            sums = many(sums, weights, x, x_row, present)
            weights += 64 * STEP
            x += 4 * STEP
        for _ in range(pairs % STEP):
            sums = one(sums, weights, x, x_row, present)
            weights += 64
            x += 4
        return sums

    @kernel(_name("paired", "BF16", tile, streamed, adds))
    def matmul(out, out_row, weights, x, x_row, columns, rows, tokens, first, last, thread):
        pairs = columns // 2
        for token in range(0, tokens, tile):
            for group in range(first, last):
                present = tokens - token
                sums = multiply_rows(weights + group * pairs * 64, x, x_row, present, pairs)
                put(out + 64 * group, out_row, sums, present, rows - ROWS * group)
            x += tile * x_row
            out += tile * out_row

    return matmul


@kernel("round_to_bf16")
def round_to_bf16(out, out_row, x, x_row, columns, first, last, thread):
    """Rows of float32 as BF16, filled up with zeros to `out_row` bytes, over tokens."""
    for token in range(first, last):
        there, here = out + token * out_row, x + token * x_row
        whole = columns // 16 * 16
        for column in range(0, whole, 16):
            store(there + 2 * column, narrow_bf16(load_floats16(here + 4 * column)))
        if columns > whole:
            rest = load_first_floats(here + 4 * whole, columns - whole)
            store_first(there + 2 * whole, narrow_bf16(rest), out_row // 2 - whole)


def _name(kind: str, name: str, tile: int, streamed: bool, adds: bool) -> str:
    marks = [kind, name, str(tile)]
    return "_".join(marks + ["streamed"] * streamed + ["adds"] * adds)
