# mypy: check-untyped-defs=False
"""What attention does with rows of numbers: products in registers, and the softmax of a block."""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic

from . import instructions as code
from .functions import exponential, hyperbolic_tangent
from .kernel import device, once
from .simd import (
    absolute,
    floats16,
    load_f32,
    load_first_floats,
    load_floats16,
    load_ints16,
    maximum,
    most,
    reduce_add,
    reduce_max,
    repeat_float,
    store,
    store_f32,
    to_floats,
    where,
)
from .tiles import parts_of

KEYS = 64  # of a block
NOTHING = -1e30  # the score of what is not seen
BARELY = -1e29  # what is below it is such a score


@once
def outer(rows: int, stride: int) -> Any:
    """step(sums, vectors, numbers): add 32 numbers times one number, for each of some rows.

    The rows' numbers are `stride` bytes apart.
    """
    kind = types.UniTuple(floats16, 2 * rows)

    @intrinsic
    def step(typing, sums, vectors, numbers):
        def lower(context, builder, sig, args):
            sums, vectors, numbers = args
            totals = parts_of(builder, sums)
            low, high = (code.load(builder, vectors, floats16.llvm, 64 * k) for k in (0, 1))
            for row in range(rows):
                number = code.load_repeated(builder, numbers, code.FLOAT, 16, stride * row)
                totals[2 * row] = code.fma(builder, low, number, totals[2 * row])
                totals[2 * row + 1] = code.fma(builder, high, number, totals[2 * row + 1])
            return context.make_tuple(builder, sig.return_type, totals)

        return kind(kind, types.int64, types.int64), lower

    return step


@once
def rows_from(rows: int) -> Any:
    """load(at, row_bytes, factors): 32 numbers of each row, times the row's factor."""
    kind = types.UniTuple(floats16, 2 * rows)

    @intrinsic
    def load(typing, at, row_bytes, factors):
        def lower(context, builder, sig, args):
            at, row_bytes, factors = args
            values = []
            for row in range(rows):
                factor = code.load_repeated(builder, factors, code.FLOAT, 16, 4 * row)
                for k in (0, 1):
                    value = code.load(builder, at, floats16.llvm, 64 * k)
                    values.append(builder.fmul(value, factor))
                at = builder.add(at, row_bytes)
            return context.make_tuple(builder, sig.return_type, values)

        return kind(types.int64, types.int64, types.int64), lower

    return load


@once
def rows_to(rows: int) -> Any:
    """put(at, row_bytes, values): 32 numbers of each row."""
    kind = types.UniTuple(floats16, 2 * rows)

    @intrinsic
    def put(typing, at, row_bytes, values):
        def lower(context, builder, sig, args):
            at, row_bytes, values = args
            parts = parts_of(builder, values)
            for row in range(rows):
                for k in (0, 1):
                    code.store(builder, parts[2 * row + k], at, 64 * k)
                at = builder.add(at, row_bytes)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, kind), lower

    return put


@device
def softmax_row(scores, at, stat, reach, low, here, scale, softcap, slope, bias, bias_count):
    """A row's scores become shares; its maximum and sum are brought up to date."""
    top = repeat_float(NOTHING)
    for k in range(0, KEYS, 16):
        position = load_ints16(at + 4 * k)
        value = load_floats16(scores + 4 * k) * scale
        if softcap != 0:
            value = hyperbolic_tangent(value / softcap) * softcap
        if bias != 0:
            value = value + load_first_floats(bias + 4 * k, most(0, bias_count - k))
        if slope != 0:
            value = value - absolute(to_floats(position - here)) * slope
        value = where(position > low, value, NOTHING)
        value = where(position <= reach, value, NOTHING)
        value = maximum(repeat_float(NOTHING), value)
        store(scores + 4 * k, value)
        top = maximum(top, value)
    before = load_f32(stat)
    now = reduce_max(top)
    now = before if before > now else now
    total = repeat_float(0.0)
    for k in range(0, KEYS, 16):
        value = load_floats16(scores + 4 * k)
        share = where(value <= BARELY, 0.0, exponential(value - now))
        store(scores + 4 * k, share)
        total = total + share
    factor = reduce_max(exponential(repeat_float(before - now)))
    store_f32(stat, now)
    return factor, reduce_add(total)
