# mypy: check-untyped-defs=False
"""Products of rows with the packed matrices of their experts.

A few rows are multiplied one by one. Of many, those that go to the same expert are put side by
side first, in the tiles that products like:

    order    where each expert's rows end, those of none last | the rows, expert by expert
    tiles    of bytes: those of an expert start at its first row's place / tile + its number,
             which leaves room for the last ones that are not full; of floats: rows in order

A row's bits are the same either way.
"""

from __future__ import annotations

from typing import Any

from .floats import FloatLayout, float_rows
from .kernel import Kernel, device, kernel, once
from .layouts import ROWS, UNIT
from .matmul import float_product, product
from .packing import AnyLayout
from .quantize_activations import group_bytes, words_of
from .simd import (
    copies,
    least,
    load_bytes32,
    load_first_floats,
    load_i32,
    load_u32,
    repeat_float,
    store,
    store_first,
    store_u32,
)
from .tiles import tile_store


@once
def _product(layout: AnyLayout, precision: str | None, tile: int) -> Any:
    """multiply(weights, x, x_row, present, columns): the sums of 16 rows for a tile of tokens."""
    if issubclass(layout, FloatLayout):
        return float_rows(layout, tile, tile == 1)
    if precision == "float32":
        block = layout.columns
        exact = float_product(layout, tile, tile == 1)

        @device
        def multiply_exactly(weights, x, x_row, present, columns):
            return exact(weights, x, x_row, present, columns // block)

        return multiply_exactly
    rounded = product(layout, tile, tile == 1)

    @device
    def multiply(weights, x, x_row, present, columns):
        return rounded(weights, x, columns)

    return multiply


@once
def expert_matmul(layout: AnyLayout, precision: str | None) -> Kernel:
    """matmul(out, weights, x, ids, ...), over groups of 16 rows of all experts, one after another.

    `x_row` is the size of a row in the form that the product takes; `shared` rows of `out` have
    the same row of x.
    """
    multiply, put = _product(layout, precision, 1), tile_store(1, False)

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
                    sums = multiply(at, x + k // shared * x_row, 0, 1, columns)
                    put(there, 0, sums, 1, rows - ROWS * group)
                elif expert == 0 and load_i32(ids + 4 * k) < 0:
                    none = copies(repeat_float(0.0), 1)
                    put(there, 0, none, 1, rows - ROWS * group)

    return matmul


# ---- many rows


def order_bytes(count: int, experts: int) -> int:
    """Bytes of an order."""
    return 4 * (experts + 1 + count)


def tiled_rows(count: int, experts: int, tile: int) -> int:
    """Rows of all tiles of bytes at most."""
    return (count // tile + experts) * tile


@device
def _start(order, expert):
    """The place of an expert's first row."""
    return load_i32(order + 4 * (expert - 1)) if expert > 0 else 0


@device
def _rows(order, experts):
    return order + 4 * (experts + 1)


@kernel("order_by_expert")
def order_by_expert(order, ids, count, experts, first, last, thread):
    """Rows in the order of their experts, as one piece of work."""
    rows = _rows(order, experts)
    for expert in range(experts + 1):
        store_u32(order + 4 * expert, 0)
    for k in range(count):
        expert = load_i32(ids + 4 * k)
        at = order + 4 * (experts if expert < 0 else expert)
        store_u32(at, load_i32(at) + 1)
    end = 0
    for expert in range(experts + 1):
        size = load_i32(order + 4 * expert)
        store_u32(order + 4 * expert, end)
        end += size
    # what was an expert's start has become its end when all its rows are placed
    for k in range(count):
        expert = load_i32(ids + 4 * k)
        at = order + 4 * (experts if expert < 0 else expert)
        place = load_i32(at)
        store_u32(rows + 4 * place, k)
        store_u32(at, place + 1)


@device
def _copy_words(there, step, here, count):
    """Words side by side to places that are `step` words apart."""
    for k in range(count):
        store_u32(there + 4 * step * k, load_u32(here + 4 * k))


@once
def tile_rows(tile: int, group: int) -> Kernel:
    """put(tiles, order, ids, x, shared, experts, columns), over places: rows into tiles."""
    row_size, size = group_bytes(group, 1), group_bytes(group, tile)
    units = group // UNIT
    words = words_of(group)

    @kernel(f"tile_rows_{tile}_{group}")
    def put(tiles, order, ids, x, shared, experts, columns, first, last, thread):
        rows, groups = _rows(order, experts), columns // group
        for place in range(first, last):
            row = load_i32(rows + 4 * place)
            expert = load_i32(ids + 4 * row)
            if expert >= 0:
                start = _start(order, expert)
                number, token = start // tile + expert + (place - start) // tile, (place - start)
                token %= tile
                at, here = tiles + number * groups * size, x + row // shared * groups * row_size
                for _ in range(groups):
                    for unit in range(units):
                        there = at + UNIT * (unit * tile + token)
                        store(there, load_bytes32(here + UNIT * unit))
                    _copy_words(at + group * tile + 4 * token, tile, here + group, words)
                    at += size
                    here += row_size

    return put


@kernel("rows_in_order")
def rows_in_order(out, order, x, shared, experts, columns, first, last, thread):
    """Rows of float32 in the order of their experts."""
    rows = _rows(order, experts)
    for place in range(first, last):
        here = x + load_i32(rows + 4 * place) // shared * 4 * columns
        there = out + place * 4 * columns
        for column in range(0, columns, ROWS):
            rest = least(ROWS, columns - column)
            store_first(there + 4 * column, load_first_floats(here + 4 * column, rest), rest)


@once
def expert_tiles(layout: AnyLayout, precision: str | None, tile: int) -> Kernel:
    """matmul(out, weights, x, order, ...), over groups of 16 rows of all experts.

    `x` is made by one of the kernels above; `x_row` is 0 for tiles of bytes.
    """
    multiply, put = _product(layout, precision, tile), tile_store(1, False)

    @kernel(f"expert_tiles_{layout.__name__}_{precision}_{tile}")
    def matmul(
        out,
        weights,
        x,
        order,
        x_row,
        tile_bytes,
        experts,
        rows,
        columns,
        group_bytes,
        first,
        last,
        thread,
    ):
        groups, ordered = (rows + ROWS - 1) // ROWS, _rows(order, experts)
        for piece in range(first, last):
            expert, group = piece // groups, piece % groups
            start, end = _start(order, expert), load_i32(order + 4 * expert)
            here = x + start * x_row
            if x_row == 0:
                here = x + (start // tile + expert) * tile_bytes
            for place in range(start, end, tile):
                sums = multiply(weights + piece * group_bytes, here, x_row, end - place, columns)
                for k in range(least(tile, end - place)):
                    there = out + 4 * (rows * load_i32(ordered + 4 * (place + k)) + ROWS * group)
                    put(there, 0, (sums[k],), 1, rows - ROWS * group)
                here += tile_bytes
            if expert == 0:
                for place in range(_start(order, experts), load_i32(order + 4 * experts)):
                    there = out + 4 * (rows * load_i32(ordered + 4 * place) + ROWS * group)
                    put(there, 0, copies(repeat_float(0.0), 1), 1, rows - ROWS * group)

    return matmul
