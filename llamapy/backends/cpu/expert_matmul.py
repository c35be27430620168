# mypy: check-untyped-defs=False
"""Products of rows with the packed matrices of their experts."""

from __future__ import annotations

from typing import Any

from .floats import FloatLayout, columns_product
from .kernel import Kernel, device, kernel, once
from .layouts import ROWS
from .matmul import float_product, product
from .packing import AnyLayout
from .simd import copies, load_i32, repeat_float
from .tiles import tile_store


@once
def _product(layout: AnyLayout, precision: str | None) -> Any:
    """multiply(weights, x, columns): the sums of 16 rows for one token, as a tile of one."""
    if issubclass(layout, FloatLayout):
        word, size, per = layout.word_bytes, 0, layout.word_bytes // layout.file_bytes
        size = word * ROWS
        step, last = columns_product(layout, 1, per), columns_product(layout, 1, 1)

        @device
        def multiply_floats(weights, x, columns):
            sums = copies(repeat_float(0.0), 1)
            for _ in range(columns // per):
                sums = step(sums, weights, x, 0, 1)
                weights += size
                x += 4 * per
            if columns % per:
                sums = last(sums, weights, x, 0, 1)
            return sums

        return multiply_floats
    block = layout.columns
    if precision == "float32":
        exact = float_product(layout, 1, True)

        @device
        def multiply_exactly(weights, x, columns):
            return exact(weights, x, 0, 1, columns // block)

        return multiply_exactly
    rounded = product(layout, 1, True)

    @device
    def multiply(weights, x, columns):
        return rounded(weights, x, columns // block)

    return multiply


@once
def expert_matmul(layout: AnyLayout, precision: str | None) -> Kernel:
    """matmul(out, weights, x, ids, ...), over groups of 16 rows of all experts, one after another.

    `x_row` is the size of a row in the form that the product takes; `shared` rows of `out` have
    the same row of x.
    """
    multiply, put = _product(layout, precision), tile_store(1, False)

    @kernel(f"expert_matmul_{layout.__name__}_{precision}")
    def matmul(
        out,
        weights,
        x,
        ids,
        x_row,
        shared,
        count,
        rows,
        columns,
        group_bytes,
        first,
        last,
        thread,
    ):
        groups = (rows + ROWS - 1) // ROWS
        for piece in range(first, last):
            expert, group = piece // groups, piece % groups
            for k in range(count):
                there = out + 4 * (rows * k + ROWS * group)
                if load_i32(ids + 4 * k) == expert:
                    at = weights + piece * group_bytes
                    sums = multiply(at, x + k // shared * x_row, columns)
                    put(there, 0, sums, 1, rows - ROWS * group)
                elif expert == 0 and load_i32(ids + 4 * k) < 0:
                    none = copies(repeat_float(0.0), 1)
                    put(there, 0, none, 1, rows - ROWS * group)

    return matmul
