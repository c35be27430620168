# mypy: check-untyped-defs=False
"""Matrix products with float32 weights that lie as they do in NumPy, row by row.

Every row of the result is a sum in the same order, whatever is computed beside it.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic

from . import instructions as code
from .kernel import Kernel, device, kernel, once
from .layouts import ROWS
from .simd import (
    copies,
    floats16,
    least,
    load_first_floats,
    load_i32,
    reduce_add,
    repeat_float,
    store_f32,
)
from .tiles import parts_of


@once
def _dots(rows: int, tokens: int) -> Any:
    """step(sums, w, w_row, x, x_row): add 16 products for each pair of a row and a token."""
    kind = types.UniTuple(floats16, rows * tokens)

    @intrinsic
    def step(typing, sums, w, w_row, x, x_row):
        def lower(context, builder, sig, args):
            sums, w, w_row, x, x_row = args
            totals, weights = parts_of(builder, sums), []
            for _ in range(rows):
                weights.append(code.load(builder, w, floats16.llvm))
                w = builder.add(w, w_row)
            for m in range(tokens):
                value = code.load(builder, x, floats16.llvm)
                for r, weight in enumerate(weights):
                    at = m * rows + r
                    totals[at] = code.fma(builder, weight, value, totals[at])
                x = builder.add(x, x_row)
            return context.make_tuple(builder, sig.return_type, totals)

        return kind(kind, *(types.int64,) * 4), lower

    return step


@once
def _dot_rows(rows: int, tokens: int) -> Any:
    """dot(out, out_row, w, w_row, x, x_row, columns): so many rows with so many tokens."""
    step, pairs = _dots(rows, tokens), rows * tokens

    @device
    def dot(out, out_row, w, w_row, x, x_row, columns):
        whole = columns // 16 * 16
        sums = copies(repeat_float(0.0), pairs)
        for k in range(0, whole, 16):
            sums = step(sums, w + 4 * k, w_row, x + 4 * k, x_row)
        for m in range(tokens):
            for r in range(rows):
                total = sums[m * rows + r]
                if whole < columns:
                    a = load_first_floats(w + r * w_row + 4 * whole, columns - whole)
                    b = load_first_floats(x + m * x_row + 4 * whole, columns - whole)
                    total = total + a * b
                store_f32(out + m * out_row + 4 * r, reduce_add(total))

    return dot


@once
def plain_matmul(tokens: int) -> Kernel:
    """matmul(out, x, w, rows, columns, count), over groups of 16 rows; so many tokens at once."""
    many, one_row, one_token, one = (
        _dot_rows(4, tokens),
        _dot_rows(1, tokens),
        _dot_rows(4, 1),
        _dot_rows(1, 1),
    )

    @kernel(f"rows_matmul_{tokens}")
    def matmul(out, x, w, rows, columns, count, first, last, thread):
        size = 4 * columns
        end = least(rows, ROWS * last)
        whole = ROWS * first + (end - ROWS * first) // 4 * 4
        for token in range(0, count // tokens * tokens, tokens):
            at, here = out + 4 * rows * token, x + size * token
            for row in range(ROWS * first, whole, 4):
                many(at + 4 * row, 4 * rows, w + size * row, size, here, size, columns)
            for row in range(whole, end):
                one_row(at + 4 * row, 4 * rows, w + size * row, size, here, size, columns)
        for token in range(count // tokens * tokens, count):
            at, here = out + 4 * rows * token, x + size * token
            for row in range(ROWS * first, whole, 4):
                one_token(at + 4 * row, 4 * rows, w + size * row, size, here, size, columns)
            for row in range(whole, end):
                one(at + 4 * row, 4 * rows, w + size * row, size, here, size, columns)

    return matmul


_one = _dot_rows(1, 1)


@kernel("plain_expert_matmul")
def plain_expert_matmul(out, w, x, ids, shared, count, experts, rows, columns, first, last, thread):
    """Each row with the matrix of its expert, over groups of 16 rows of all experts."""
    size, groups = 4 * columns, (rows + ROWS - 1) // ROWS
    for piece in range(first, last):
        expert, start = piece // groups, piece % groups * ROWS
        end = least(rows, start + ROWS)
        for k in range(count):
            there, here = out + 4 * rows * k, x + k // shared * size
            if load_i32(ids + 4 * k) == expert:
                for row in range(start, end):
                    at = w + (expert * rows + row) * size
                    _one(there + 4 * row, 0, at, size, here, size, columns)
            elif expert == 0 and load_i32(ids + 4 * k) < 0:
                for row in range(start, end):
                    store_f32(there + 4 * row, 0.0)
