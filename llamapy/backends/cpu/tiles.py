# mypy: check-untyped-defs=False
"""The heart of a matrix product: 16 rows of weights meet a tile of tokens, 32 columns at a time.

Each function makes an operation for kernels: straight code, without loops, for one layout and one
number of tokens. A tile is a tuple of registers, one for each token: sixteen rows' sums.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from . import dots
from . import instructions as code
from .kernel import once
from .layouts import UNIT, Unit
from .simd import floats16

_FLOATS, _INTS = floats16.llvm, code.vector(code.I32, 16)
_BYTES = code.vector(code.I8, 64)


def parts_of(builder, value):
    """The registers of a tile."""
    return [builder.extract_value(value, k) for k in range(value.type.count)]


@once
def unit_product(layout, tokens):
    """product(sums, codes, x, scales, minimums): add 32 columns, the activations being bytes.

    `codes` is the address of the unit's words, `x` that of the tile's unit. There are as many
    scales as parts of the unit, and as many minimums, which only some layouts use.
    """
    tile = types.UniTuple(floats16, tokens)
    parts = types.UniTuple(floats16, layout.parts)
    scales_at, sums_at, float_sums_at, halves_at = (
        (UNIT + 4 * field) * tokens for field in range(4)
    )

    def negative_sum(builder, x, token, part):
        at = sums_at if layout.parts == 1 else halves_at + 4 * tokens * part
        return code.load_broadcast(builder, x, code.I32, 16, at + 4 * token)

    def negative_float_sum(builder, x, token, part):
        if layout.parts == 1:
            return code.load_repeated(builder, x, code.FLOAT, 16, float_sums_at + 4 * token)
        return builder.sitofp(negative_sum(builder, x, token, part), _FLOATS)

    def part_dots(builder, unit, x, part):
        """For each token, the dot product of this part in whole numbers."""

        def start(m):
            if not layout.offset:
                return code.constant(_INTS, 0)
            offset = code.constant(_INTS, layout.offset)
            return builder.mul(negative_sum(builder, x, m, part), offset)

        sums = dots.DotSums(builder, tokens, start, layout.largest())
        count = 8 // layout.parts
        for register in range(part * count, (part + 1) * count):
            numbers = unit.numbers(register)
            for m in range(tokens):
                at = UNIT * m + 4 * register
                q = code.load_repeated(builder, x, code.I32, 16, at)
                sums.add(m, numbers, builder.bitcast(q, _BYTES))
        return sums.finish()

    @intrinsic
    def product(typing, sums, codes, x, scales, minimums):
        def lower(context, builder, sig, args):
            totals, codes, x, scales, minimums = args
            totals, scales = parts_of(builder, totals), parts_of(builder, scales)
            minimums = parts_of(builder, minimums)
            unit = Unit(builder, layout, codes)
            added = [None] * tokens
            for part in range(layout.parts):
                for m, dot in enumerate(part_dots(builder, unit, x, part)):
                    dot = builder.sitofp(dot, _FLOATS)
                    if added[m] is None:
                        added[m] = builder.fmul(dot, scales[part])
                    else:
                        added[m] = code.fma(builder, dot, scales[part], added[m])
                    if layout.has_minimum:
                        total = negative_float_sum(builder, x, m, part)
                        added[m] = code.fma(builder, total, minimums[part], added[m])
            for m in range(tokens):
                d = code.load_repeated(builder, x, code.FLOAT, 16, scales_at + 4 * m)
                totals[m] = code.fma(builder, added[m], d, totals[m])
            return context.make_tuple(builder, sig.return_type, totals)

        return tile(tile, types.int64, types.int64, parts, parts), lower

    return product


def _weights(builder, layout, codes, scales, minimums):
    """The 32 columns of a unit, decoded."""
    unit = Unit(builder, layout, codes)
    for register in range(8):
        part = register * layout.parts // 8
        for column in unit.columns(register):
            if layout.has_minimum:
                low = builder.fneg(minimums[part])
                yield code.fma(builder, column, scales[part], low)
            else:
                yield builder.fmul(column, scales[part])


def add_columns(builder, totals, columns, rows):
    """Add the products of columns, floats16 each, with the float32 of each token's row.

    Eight columns have a sum of their own first: a product waits for the one before, and so there
    are several at work, and fewer roundings.
    """
    sums = [None] * len(rows)

    def close():
        for m, each in enumerate(sums):
            if each is not None:
                totals[m] = builder.fadd(totals[m], each)
                sums[m] = None

    for k, weight in enumerate(columns):
        for m, row in enumerate(rows):
            value = code.load_repeated(builder, row, code.FLOAT, 16, 4 * k)
            if sums[m] is None:
                sums[m] = builder.fmul(weight, value)
            else:
                sums[m] = code.fma(builder, weight, value, sums[m])
        if k % 8 == 7:
            close()
    close()


@once
def unit_product_float(layout, tokens):
    """product(sums, codes, x, row_bytes, count, scales, minimums): with float32 activations.

    `x` is the address of the unit's columns of the tile's first token, and tokens are `row_bytes`
    apart. There are `count` of them, and the last one stands in for those that are missing.
    """
    tile = types.UniTuple(floats16, tokens)
    parts = types.UniTuple(floats16, layout.parts)

    @intrinsic
    def product(typing, sums, codes, x, row_bytes, count, scales, minimums):
        def lower(context, builder, sig, args):
            totals, codes, x, row_bytes, count, scales, minimums = args
            totals = parts_of(builder, totals)
            rows = present_rows(builder, x, row_bytes, count, tokens)
            weights = _weights(
                builder, layout, codes, parts_of(builder, scales), parts_of(builder, minimums)
            )
            add_columns(builder, totals, weights, rows)
            return context.make_tuple(builder, sig.return_type, totals)

        numbers = (types.int64,) * 4
        return tile(tile, *numbers, parts, parts), lower

    return product


def row_addresses(builder, x, row_bytes, tokens):
    """The address of each token's values."""
    rows = [x]
    for _ in range(1, tokens):
        rows.append(builder.add(rows[-1], row_bytes))
    return rows


def present_rows(builder, x, row_bytes, count, tokens):
    """The same, and the last token's for those from `count` on."""
    rows = [x]
    for m in range(1, tokens):
        following = builder.add(rows[-1], row_bytes)
        is_token = builder.icmp_signed("<", ir.Constant(code.I64, m), count)
        rows.append(builder.select(is_token, following, rows[-1]))
    return rows


@once
def row_decoder(layout):
    """decode(out, codes, scales, minimums, row): 32 columns of one of the 16 rows, as float32."""
    parts = types.UniTuple(floats16, layout.parts)

    @intrinsic
    def decode(typing, out, codes, scales, minimums, row):
        def lower(context, builder, sig, args):
            out, codes, scales, minimums, row = args
            lane = builder.trunc(row, code.I32)
            weights = _weights(
                builder, layout, codes, parts_of(builder, scales), parts_of(builder, minimums)
            )
            for k, weight in enumerate(weights):
                code.store(builder, builder.extract_element(weight, lane), out, 4 * k)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, parts, parts, types.int64), lower

    return decode


@once
def tile_store(tokens, adds):
    """put(out, row_bytes, sums, tokens, rows): as many tokens and rows of a tile as there are.

    Tokens are `row_bytes` apart. With `adds`, what stands there is added to.
    """
    tile = types.UniTuple(floats16, tokens)

    def put_all(builder, sums, places):
        for value, place in zip(sums, places, strict=True):
            if adds:
                value = builder.fadd(value, code.load(builder, place, _FLOATS))
            code.store(builder, value, place)

    def put_some(builder, sums, places, count, rows):
        lanes = code.vector(code.I64, 16)
        order = code.constant(lanes, list(range(16)))
        present = builder.icmp_signed("<", order, code.repeat(builder, rows, 16))
        one = ir.Constant(code.I32, 1)
        for m, (value, place) in enumerate(zip(sums, places, strict=True)):
            is_token = builder.icmp_signed("<", ir.Constant(code.I64, m), count)
            mask = builder.and_(present, code.repeat(builder, is_token, 16))
            spot = code.pointer(builder, place, _FLOATS)
            if adds:
                none = code.constant(_FLOATS, 0.0)
                name = "llvm.masked.load.v16f32.p0"
                old = code.call(builder, name, _FLOATS, spot, one, mask, none)
                value = builder.fadd(value, old)
            code.call(builder, "llvm.masked.store.v16f32.p0", code.VOID, value, spot, one, mask)

    @intrinsic
    def put(typing, out, row_bytes, sums, count, rows):
        def lower(context, builder, sig, args):
            out, row_bytes, sums, count, rows = args
            sums = parts_of(builder, sums)
            places = row_addresses(builder, out, row_bytes, tokens)
            enough_tokens = builder.icmp_signed(">=", count, ir.Constant(code.I64, tokens))
            enough_rows = builder.icmp_signed(">=", rows, ir.Constant(code.I64, 16))
            with builder.if_else(builder.and_(enough_tokens, enough_rows)) as (whole, partial):
                with whole:
                    put_all(builder, sums, places)
                with partial:
                    put_some(builder, sums, places, count, rows)
            return context.get_dummy_value()

        numbers = types.int64
        return types.void(numbers, numbers, tile, numbers, numbers), lower

    return put
