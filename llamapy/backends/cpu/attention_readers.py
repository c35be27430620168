# mypy: check-untyped-defs=False
"""Cells as float32, for attention that has no step for them as they lie, or meets them many times.

    keys(out, room, cells, tile_bytes, cell_bytes, numbers, d, width)      over groups of 16
    values(out, out_row, cells, tile_bytes, cell_bytes, numbers, d)        over cells

`numbers` are those of the cells, as int32; cell n lies `tile_bytes` from the 32 before, and
`cell_bytes` from its neighbour. Keys come out as columns of 16, `width` of them, and what is behind
the d-th is zero; values as rows.
"""

from __future__ import annotations

from typing import Any

from . import instructions as code
from .attention_steps import column_reader
from .cells import READ, TILE
from .floats import FloatLayout, turner
from .formats import LAYOUTS
from .kernel import Kernel, device, kernel, once
from .layouts import ROWS, UNIT, Layout
from .simd import (
    floats_of,
    load_floats16,
    load_halves16,
    load_i32,
    load_ints16,
    repeat_float,
    store,
    widen,
)


@device
def _place(cells, tile_bytes, cell_bytes, number):
    return cells + number // TILE * tile_bytes + number % TILE * cell_bytes


# ---- keys in rows: read, and turned


@once
def row_keys(format_name: str) -> Kernel:
    """Keys that lie in rows."""
    read, turn = READ[format_name], turner(code.FLOAT)

    @kernel(f"read_row_keys_{format_name}")
    def keys(out, room, cells, tile_bytes, cell_bytes, numbers, d, width, first, last, thread):
        for group in range(first, last):
            for k in range(ROWS):
                number = load_i32(numbers + 4 * (ROWS * group + k))
                read(room + 4 * width * k, _place(cells, tile_bytes, cell_bytes, number), d)
            for column in range(0, width, ROWS):
                at = out + 64 * (width * group + column)
                turn(room + 4 * column, 4 * width, at, 64)

    return keys


# ---- keys in their layout


@device
def _columns_f32(out, at, d):
    for column in range(d):
        store(out + 64 * column, load_floats16(at + 64 * column))


@device
def _columns_f16(out, at, d):
    for column in range(d):
        store(out + 64 * column, widen(load_halves16(at + 32 * column)))


@device
def _columns_bf16(out, at, d):
    for column in range(0, d, 2):
        pairs = load_ints16(at + 32 * column)
        store(out + 64 * column, floats_of(pairs << 16))
        store(out + 64 * column + 64, floats_of(pairs & -65536))


@once
def _columns_of_blocks(layout: type[Layout]) -> Any:
    read, block_size, head_size = column_reader(layout), layout.block_size(), layout.head_size()

    @device
    def columns(out, at, d):
        for column in range(0, d, UNIT):
            read(out + 64 * column, widen(load_halves16(at)), at + head_size)
            at += block_size

    return columns


_COLUMNS = {"F32": _columns_f32, "F16": _columns_f16, "BF16": _columns_bf16}


@once
def tiled_keys(format_name: str) -> Kernel:
    """Keys that lie 16 side by side."""
    layout = LAYOUTS[format_name]
    if issubclass(layout, FloatLayout):
        columns = _COLUMNS[format_name]
    else:
        columns = _columns_of_blocks(layout)

    @kernel(f"read_tiled_keys_{format_name}")
    def keys(out, room, cells, tile_bytes, cell_bytes, numbers, d, width, first, last, thread):
        for group in range(first, last):
            number = load_i32(numbers + 4 * ROWS * group)
            at = out + 64 * width * group
            columns(at, _place(cells, tile_bytes, cell_bytes, number), d)
            for column in range(d, width):
                store(at + 64 * column, repeat_float(0.0))

    return keys


# ---- values


@once
def row_values(format_name: str) -> Kernel:
    """Values, which always lie in rows."""
    read = READ[format_name]

    @kernel(f"read_values_{format_name}")
    def values(out, out_row, cells, tile_bytes, cell_bytes, numbers, d, first, last, thread):
        end = (d + 15) // 16 * 64
        for k in range(first, last):
            at = out + k * out_row
            number = load_i32(numbers + 4 * k)
            read(at, _place(cells, tile_bytes, cell_bytes, number), d)
            for column in range(end, out_row, 64):
                store(at + column, repeat_float(0.0))

    return values
