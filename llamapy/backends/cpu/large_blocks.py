# mypy: check-untyped-defs=False
"""Products with blocks of 256 weights: whole numbers are added up to the block's end.

The block's activations share a scale, and the scales of its units are whole numbers. So a unit's
dot products are multiplied and added as whole numbers, and only the block's sum is scaled: no
rounding, and two instructions for 32 columns of a token that leave those of dot products alone.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic

from . import dots
from . import instructions as code
from .kernel import device, once
from .layouts import UNIT, LargeLayout, Unit
from .quantize_activations import UNITS, words_of
from .scales import block_parts
from .simd import copies, floats16, ints16, repeat_float, repeat_int
from .tiles import parts_of

_FLOATS, _INTS = floats16.llvm, ints16.llvm
_BYTES = code.vector(code.I8, 64)
_I64 = types.int64


@once
def _unit_product(layout, tokens):
    """product(totals, codes, x, numbers): add 32 columns, each part's times its number."""
    tile = types.UniTuple(ints16, tokens)
    parts = types.UniTuple(ints16, layout.parts)
    count = 8 // layout.parts

    def part_dots(builder, unit, x, part, start):
        sums = dots.DotSums(builder, tokens, start, layout.largest())
        for register in range(part * count, (part + 1) * count):
            numbers = unit.numbers(register)
            for m in range(tokens):
                at = UNIT * m + 4 * register
                q = code.load_repeated(builder, x, code.I32, 16, at)
                sums.add(m, numbers, builder.bitcast(q, _BYTES))
        return sums.finish()

    @intrinsic
    def product(typing, totals, codes, x, numbers):
        def lower(context, builder, sig, args):
            totals, codes, x, numbers = args
            totals, numbers = parts_of(builder, totals), parts_of(builder, numbers)
            unit = Unit(builder, layout, codes)
            if layout.scale_bytes == 0:
                totals = part_dots(builder, unit, x, 0, lambda m: totals[m])
            else:
                for part, number in enumerate(numbers):
                    found = part_dots(builder, unit, x, part, lambda m: code.constant(_INTS, 0))
                    for m, dot in enumerate(found):
                        totals[m] = builder.add(totals[m], builder.mul(dot, number))
            return context.make_tuple(builder, sig.return_type, totals)

        return tile(tile, _I64, _I64, parts), lower

    return product


@once
def _pairs_product(tokens):
    """product(totals, first, second, x): add to each token's total two of its sums, multiplied."""
    tile = types.UniTuple(ints16, tokens)

    @intrinsic
    def product(typing, totals, first, second, x):
        def lower(context, builder, sig, args):
            totals, first, second, x = args
            totals = parts_of(builder, totals)
            low = builder.and_(first, code.constant(_INTS, 0xFFFF))
            pair = builder.or_(low, builder.shl(second, code.constant(_INTS, 16)))
            for m, total in enumerate(totals):
                sums = code.load_repeated(builder, x, code.I32, 16, 4 * m)
                totals[m] = dots.dot2(builder, total, pair, sums)
            return context.make_tuple(builder, sig.return_type, totals)

        return tile(tile, ints16, ints16, _I64), lower

    return product


@once
def _block_sum(tokens):
    """add(sums, totals, d, x): a block's totals, scaled by d and those of the tokens at x."""
    tile, whole = types.UniTuple(floats16, tokens), types.UniTuple(ints16, tokens)

    @intrinsic
    def add(typing, sums, totals, d, x):
        def lower(context, builder, sig, args):
            sums, totals, d, x = args
            sums, totals = parts_of(builder, sums), parts_of(builder, totals)
            for m, total in enumerate(totals):
                value = builder.fmul(builder.sitofp(total, _FLOATS), d)
                scale = code.load_repeated(builder, x, code.FLOAT, 16, 4 * m)
                sums[m] = code.fma(builder, value, scale, sums[m])
            return context.make_tuple(builder, sig.return_type, sums)

        return tile(tile, whole, floats16, _I64), lower

    return add


@once
def _numbers(layout: type[LargeLayout]) -> Any:
    """numbers(at): those of all parts of the unit at `at`."""
    number = layout.number

    @device
    def one(at):
        return (number(at, 0),)

    @device
    def two(at):
        return number(at, 0), number(at, 1)

    return one if layout.parts == 1 else two


@once
def _taker(layout: type[LargeLayout], tokens: int, number: Any, times: int) -> Any:
    """take(totals, at, x): what is to be taken from all weights of the block behind `at`.

    It is `number` of their unit or their half of one; `x` is the address of the activations' sums.
    """
    add_pairs, unit_size = _pairs_product(tokens), layout.unit_size()
    halves, wholes = 0, 4 * UNITS * tokens

    @device
    def of_halves(totals, at, x):
        for _ in range(UNITS):
            totals = add_pairs(totals, number(at, 0) * times, number(at, 1) * times, x + halves)
            at += unit_size
            x += 4 * tokens
        return totals

    @device
    def of_units(totals, at, x):
        for _ in range(UNITS // 2):
            first, second = number(at, 0), number(at + unit_size, 0)
            totals = add_pairs(totals, first * times, second * times, x + wholes)
            at += 2 * unit_size
            x += 4 * tokens
        return totals

    return of_units if layout.parts == 1 else of_halves


@once
def large_product(layout: type[LargeLayout], tokens: int, fetch: Any) -> Any:
    """product(weights, x, columns): the sums of 16 rows for each token of a tile of bytes."""
    head, _, _ = block_parts(layout)
    numbers, multiply = _numbers(layout), _unit_product(layout, tokens)
    add_block = _block_sum(tokens)
    take_offset = _taker(layout, tokens, layout.number, layout.offset)
    take_minimum = _taker(layout, tokens, layout.low or layout.number, 1)
    unit_size, head_size, codes_at = layout.unit_size(), layout.head_size(), layout.codes_at()
    block_columns, has_offset, has_minimum = layout.columns, layout.offset > 0, layout.has_minimum
    scales_at = 4 * (words_of(block_columns) - 1) * tokens

    @device
    def multiply_rows(weights, x, columns):
        sums = copies(repeat_float(0.0), tokens)
        for _ in range(columns // block_columns):
            d, m = head(weights)
            weights += head_size
            start, totals = weights, copies(repeat_int(0), tokens)
            for _ in range(UNITS):
                fetch(weights)
                totals = multiply(totals, weights + codes_at, x, numbers(weights))
                weights += unit_size
                x += UNIT * tokens
            if has_offset:
                totals = take_offset(totals, start, x)
            sums = add_block(sums, totals, d, x + scales_at)
            if has_minimum:
                totals = take_minimum(copies(repeat_int(0), tokens), start, x)
                sums = add_block(sums, totals, m, x + scales_at)
            x += scales_at + 4 * tokens
        return sums

    return multiply_rows
