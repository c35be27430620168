# mypy: check-untyped-defs=False
"""Weights from the file's rows into their layout, and back."""

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from ... import threads as pool
from ...errors import ShapeError
from .floats import FloatLayout, float_packer
from .kernel import Kernel, aligned_bytes, device, kernel, once
from .layouts import ROWS, Layout, code_reader, code_writer
from .simd import least, load_u8, load_u16, store_u8, store_u16

Bytes = NDArray[np.uint8]
AnyLayout = type[Layout] | type[FloatLayout]

# one thread's piece of work
BYTES_PER_PIECE = 1 << 18


def pack(
    layout: AnyLayout,
    raw: Bytes,
    columns: int,
    *,
    out: Bytes | None = None,
    threads: int | None = None,
) -> Bytes:
    """The rows of a file, uint8 [rows, row bytes], side by side in their layout.

    `out`, if given, is what `aligned_bytes` gave for `layout.packed_bytes(rows, columns)`.
    """
    rows, row_bytes = _check(layout, raw, columns)
    packed = aligned_bytes(layout.packed_bytes(rows, columns)) if out is None else out
    _check_packed(layout, packed, rows, columns)
    _run(_worker(layout, back=False), _tables(layout)[0], raw, packed, rows, row_bytes, threads)
    return packed


def unpack(
    layout: AnyLayout, packed: Bytes, rows: int, columns: int, *, threads: int | None = None
) -> Bytes:
    """The bytes that the file had, uint8 [rows, row bytes]."""
    _check_packed(layout, packed, rows, columns)
    row_bytes = columns // layout.columns * layout.file_bytes
    raw = np.zeros((rows, row_bytes), np.uint8)
    _run(_worker(layout, back=True), _tables(layout)[1], raw, packed, rows, row_bytes, threads)
    return raw


def _worker(layout: AnyLayout, back: bool) -> Kernel:
    if issubclass(layout, FloatLayout):
        return float_packer(layout, back)
    return unpacker(layout) if back else packer(layout)


def _tables(layout: AnyLayout) -> tuple[np.ndarray, np.ndarray]:
    if issubclass(layout, FloatLayout):
        return np.zeros(1, np.uint64), np.zeros(1, np.uint16)
    return layout.tables()


def _check_packed(layout: AnyLayout, packed: Bytes, rows: int, columns: int) -> None:
    size = layout.packed_bytes(rows, columns)
    if packed.dtype != np.uint8 or packed.size != size or not packed.flags.c_contiguous:
        raise ShapeError(
            f"{rows} rows of {columns} columns of {layout.__name__} are packed in {size} bytes, "
            f"not {packed.size} of {packed.dtype}: pass what `pack` gave, or aligned_bytes({size})"
        )


def _check(layout: AnyLayout, raw: Bytes, columns: int) -> tuple[int, int]:
    row_bytes = columns // layout.columns * layout.file_bytes
    if raw.ndim != 2 or raw.shape[1] != row_bytes or columns % layout.columns:
        raise ShapeError(
            f"rows of {columns} columns of {layout.__name__} are uint8 [rows, {row_bytes}], not "
            f"{raw.shape}, and {columns} is to be a multiple of {layout.columns}"
        )
    return raw.shape[0], row_bytes


def _run(
    worker: Kernel,
    tables: np.ndarray,
    raw: Bytes,
    packed: Bytes,
    rows: int,
    row_bytes: int,
    threads: int | None,
) -> None:
    raw = np.ascontiguousarray(raw)
    groups = -(-rows // ROWS)
    if groups and row_bytes:
        grain = max(1, BYTES_PER_PIECE // (ROWS * row_bytes))
        call = worker.bind(raw, row_bytes, rows, packed, tables)
        pool.run(call, groups, grain=grain, threads=threads)


def _one_by_one(pack_unit, units):
    """pack_units(block, row, at, tables): a call for each unit, whose number is a constant.

    It leaves little of where a unit's bits are; and LLVM would not unroll a loop as long as this.
    """

    @intrinsic
    def pack_units(typing, block, row, at, tables):
        function = types.Dispatcher(pack_unit)
        each = function.get_call_type(typing, (block, row, at, tables, types.int64), {})

        def lower(context, builder, sig, values):
            pack = context.get_function(function, each)
            for unit in range(units):
                pack(builder, [*values, context.get_constant(types.int64, unit)])
            return context.get_dummy_value()

        return types.void(block, row, at, tables), lower

    return pack_units


@once
def packer(layout: type[Layout]) -> Kernel:
    """pack(raw, row_bytes, rows, packed, tables), over groups of 16 rows."""
    heads, units, scale_bytes = layout.heads, layout.units(), layout.scale_bytes
    head_count = len(heads)
    head_size, unit_size, codes_at = layout.head_size(), layout.unit_size(), layout.codes_at()
    file_bytes = layout.file_bytes
    head, scale_byte, codes = layout.head, layout.scale_byte, layout.codes
    put = code_writer(layout.bits)
    places = heads or (0,)

    @device
    def pack_unit(block, row, at, tables, unit):
        at += unit * unit_size
        for k in range(scale_bytes):
            store_u8(at + ROWS * k + row, scale_byte(block, unit, k))
        put(at + codes_at + 4 * row, codes(block, unit, tables))

    pack_units = _one_by_one(pack_unit, units)

    @device
    def pack_block(block, row, at, tables):
        """One row's block, as the row-th of 16."""
        for k in range(head_count):
            store_u16(at + 2 * ROWS * k + 2 * row, head(block, places[k]))
        at += head_size
        pack_units(block, row, at, tables)

    @kernel(f"pack_{layout.__name__}")
    def pack(raw, row_bytes, rows, packed, tables, first, last, thread):
        blocks = row_bytes // file_bytes
        size = head_size + units * unit_size
        for group in range(first, last):
            start = raw + group * ROWS * row_bytes
            at = packed + group * blocks * size
            for k in range(blocks):
                for row in range(least(ROWS, rows - group * ROWS)):
                    pack_block(start + row * row_bytes + k * file_bytes, row, at, tables)
                at += size

    return pack


@once
def unpacker(layout: type[Layout]) -> Kernel:
    """unpack(raw, row_bytes, rows, packed, tables), over groups of 16 rows; `raw` is zeroed."""
    heads, units, scale_bytes = layout.heads, layout.units(), layout.scale_bytes
    head_count = len(heads)
    head_size, unit_size, codes_at = layout.head_size(), layout.unit_size(), layout.codes_at()
    file_bytes = layout.file_bytes
    put_head, put_scale_byte, put_codes = layout.put_head, layout.put_scale_byte, layout.put_codes
    take = code_reader(layout.bits)
    places = heads or (0,)

    @device
    def unpack_block(block, row, at, tables):
        for k in range(head_count):
            put_head(block, places[k], load_u16(at + 2 * ROWS * k + 2 * row))
        at += head_size
        for unit in range(units):
            put_codes(block, unit, take(at + codes_at + 4 * row), tables)
            for k in range(scale_bytes):
                put_scale_byte(block, unit, k, load_u8(at + ROWS * k + row))
            at += unit_size

    @kernel(f"unpack_{layout.__name__}")
    def unpack(raw, row_bytes, rows, packed, tables, first, last, thread):
        blocks = row_bytes // file_bytes
        size = head_size + units * unit_size
        for group in range(first, last):
            start = raw + group * ROWS * row_bytes
            at = packed + group * blocks * size
            for k in range(blocks):
                for row in range(least(ROWS, rows - group * ROWS)):
                    unpack_block(start + row * row_bytes + k * file_bytes, row, at, tables)
                at += size

    return unpack
