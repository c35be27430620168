# mypy: check-untyped-defs=False
"""The inner steps of attention, straight code on registers: a tile of rows meets 32 keys or values.

A row is a query: a head of a token. A tile of rows holds `WIDE` registers of 16 numbers for each.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic

from . import dots, targets
from . import instructions as code
from .floats import FLOAT_LAYOUTS
from .kernel import once
from .layouts import Unit
from .simd import floats16, word
from .tiles import parts_of

COLUMNS = 8  # that a step of scores takes in
WIDE = 2
# a line of memory into the second cache: what is used a little later would not stay in the first
fetch = word("fetch", types.void, (types.int64,), lambda b, at: code.prefetch(b, at, 2))

_FLOATS, _INTS = floats16.llvm, code.vector(code.I32, 16)


def most_rows() -> int:
    """Rows of the largest tile that fits in the registers."""
    return 8 if targets.current().has_zmm else 2


# ---- scores: columns of 32 keys times numbers of each row


@once
def score_step(name: str, rows: int) -> Any:
    """step(sums, keys, half, numbers): add 8 columns of 32 keys, times a number for each row.

    Keys lie in two groups of 16, `half` bytes apart, in the layout of their format; of "pairs",
    BF16 keys meet pairs of BF16 numbers.
    """
    kind = types.UniTuple(floats16, WIDE * rows)

    def add_floats(builder, totals, groups, numbers):
        layout = FLOAT_LAYOUTS[name]
        for column in range(COLUMNS):
            keys = [layout.weights(builder, at, column) for at in groups]
            for row in range(rows):
                number = code.load_repeated(
                    builder, numbers, code.FLOAT, 16, 4 * (rows * column + row)
                )
                for k, key in enumerate(keys):
                    at = WIDE * row + k
                    totals[at] = code.fma(builder, key, number, totals[at])

    def add_pairs(builder, totals, groups, numbers):
        for pair in range(COLUMNS // 2):
            keys = [code.load(builder, at, _INTS, 64 * pair) for at in groups]
            for row in range(rows):
                number = code.load_repeated(builder, numbers, code.I32, 16, 4 * (rows * pair + row))
                for k, key in enumerate(keys):
                    at = WIDE * row + k
                    totals[at] = dots.dot2_bf16(builder, totals[at], key, number)

    add = add_pairs if name == "pairs" else add_floats

    @intrinsic
    def step(typing, sums, keys, half, numbers):
        def lower(context, builder, sig, args):
            sums, keys, half, numbers = args
            totals = parts_of(builder, sums)
            add(builder, totals, (keys, builder.add(keys, half)), numbers)
            return context.make_tuple(builder, sig.return_type, totals)

        return kind(kind, types.int64, types.int64, types.int64), lower

    return step


# ---- values: 32 numbers of a key, times its share for each row


def _load_numbers(layout):
    def load(builder, at):
        return [
            layout.weights(builder, code.offset(builder, at, 16 * k * layout.file_bytes), 0)
            for k in range(WIDE)
        ]

    return load


def _load_bf16(builder, at):
    halves = [code.load(builder, at, code.vector(code.I16, 16), 32 * k) for k in range(WIDE)]
    widened = [builder.zext(half, _INTS) for half in halves]
    return [
        builder.bitcast(builder.shl(value, code.constant(_INTS, 16)), _FLOATS) for value in widened
    ]


def _scale(builder, at):
    """A half, as a float in all lanes."""
    half = code.load_repeated(builder, at, code.I16, 16)
    return code.half_to_float(builder, builder.bitcast(half, code.vector(code.HALF, 16)))


def _load_q8_0(builder, at):
    scale = _scale(builder, at)
    values = []
    for k in range(WIDE):
        codes = code.load(builder, at, code.vector(code.I8, 16), 2 + 16 * k)
        values.append(builder.fmul(builder.sitofp(builder.sext(codes, _INTS), _FLOATS), scale))
    return values


def _load_q4_0(builder, at):
    scale = _scale(builder, at)
    codes = builder.zext(code.load(builder, at, code.vector(code.I8, 16), 2), _INTS)
    parts = (
        builder.and_(codes, code.constant(_INTS, 15)),
        builder.lshr(codes, code.constant(_INTS, 4)),
    )
    eight = code.constant(_INTS, 8)
    return [
        builder.fmul(builder.sitofp(builder.sub(part, eight), _FLOATS), scale) for part in parts
    ]


# of 32 columns of a value in memory: how they are read, and how many bytes they are
VALUES: dict[str, tuple[Any, int]] = {
    "F32": (_load_numbers(FLOAT_LAYOUTS["F32"]), 128),
    "F16": (_load_numbers(FLOAT_LAYOUTS["F16"]), 64),
    "BF16": (_load_bf16, 64),
    "Q8_0": (_load_q8_0, 34),
    "Q4_0": (_load_q4_0, 18),
}


@once
def mix_step(name: str, rows: int, stride: int) -> Any:
    """step(sums, values, shares): add 32 columns of a value times its share, for each row.

    The rows' shares are `stride` bytes apart.
    """
    kind = types.UniTuple(floats16, WIDE * rows)
    load, _ = VALUES[name]

    @intrinsic
    def step(typing, sums, values, shares):
        def lower(context, builder, sig, args):
            sums, values, shares = args
            totals = parts_of(builder, sums)
            numbers = load(builder, values)
            for row in range(rows):
                share = code.load_repeated(builder, shares, code.FLOAT, 16, stride * row)
                for k, number in enumerate(numbers):
                    at = WIDE * row + k
                    totals[at] = code.fma(builder, number, share, totals[at])
            return context.make_tuple(builder, sig.return_type, totals)

        return kind(kind, types.int64, types.int64), lower

    return step


# ---- tiles from memory, and to it


@once
def tile_from(rows: int) -> Any:
    """load(at, row_bytes, factors): 32 numbers of each row, times the row's factor."""
    kind = types.UniTuple(floats16, WIDE * rows)

    @intrinsic
    def load(typing, at, row_bytes, factors):
        def lower(context, builder, sig, args):
            at, row_bytes, factors = args
            values = []
            for row in range(rows):
                factor = code.load_repeated(builder, factors, code.FLOAT, 16, 4 * row)
                for k in range(WIDE):
                    value = code.load(builder, at, _FLOATS, 64 * k)
                    values.append(builder.fmul(value, factor))
                at = builder.add(at, row_bytes)
            return context.make_tuple(builder, sig.return_type, values)

        return kind(types.int64, types.int64, types.int64), lower

    return load


@once
def tile_to(rows: int, wide: int = WIDE) -> Any:
    """put(at, row_bytes, values): 32 numbers of each row, or 16."""
    kind = types.UniTuple(floats16, wide * rows)

    @intrinsic
    def put(typing, at, row_bytes, values):
        def lower(context, builder, sig, args):
            at, row_bytes, values = args
            parts = parts_of(builder, values)
            for row in range(rows):
                for k in range(wide):
                    code.store(builder, parts[wide * row + k], at, 64 * k)
                at = builder.add(at, row_bytes)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, kind), lower

    return put


@once
def column_reader(layout: Any) -> Any:
    """read(out, scales, codes): a unit's 32 columns of 16 keys, as float32; 64 bytes each."""

    @intrinsic
    def read(typing, out, scales, codes):
        def lower(context, builder, sig, args):
            out, scales, codes = args
            unit = Unit(builder, layout, codes)
            for register in range(8):
                for k, column in enumerate(unit.columns(register)):
                    value = builder.fmul(column, scales)
                    code.store(builder, value, out, 64 * (4 * register + k))
            return context.get_dummy_value()

        return types.void(types.int64, floats16, types.int64), lower

    return read
