# mypy: check-untyped-defs=False
"""Keys and values into the cells of a cache, in the forms that attention likes (see `blocks.py`).

Of tokens with the same slot the last one counts, as in NumPy, whatever the threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .cells import TILE, WRITE
from .floats import FloatLayout
from .formats import LAYOUTS
from .kernel import Kernel, device, kernel, once
from .layouts import ROWS, code_writer
from .packing import AnyLayout
from .simd import load_i32, load_u16, load_u32, store_u16, store_u32
from .store import storer
from .tape import Tape

# numbers that one thread stores at a time
PIECE = 4096


@once
def column_writer(layout: AnyLayout) -> Any:
    """put(at, row, raw, row_bytes): the bytes of a row as the row-th of 16 in their layout."""
    return _number_writer(layout) if issubclass(layout, FloatLayout) else _block_writer(layout)


def _number_writer(layout: type[FloatLayout]) -> Any:
    size = layout.word_bytes
    load, write = (load_u16, store_u16) if size == 2 else (load_u32, store_u32)

    @device
    def put(at, row, raw, row_bytes):
        at += size * row
        for word in range(0, row_bytes, size):
            write(at + ROWS * word, load(raw + word))

    return put


def _block_writer(layout: Any) -> Any:
    """For formats of one scale and one unit."""
    (head,) = layout.heads
    put_codes, head_size, block_size = (
        code_writer(layout.bits),
        layout.head_size(),
        layout.block_size(),
    )
    file_bytes, codes, tables = layout.file_bytes, layout.codes, 0

    @device
    def put(at, row, raw, row_bytes):
        for block in range(0, row_bytes, file_bytes):
            store_u16(at + 2 * row, load_u16(raw + block + head))
            put_codes(at + head_size + 4 * row, codes(raw + block, 0, tables))
            at += block_size

    return put


@once
def key_storer(format_name: str) -> Kernel:
    """Each token's heads into the cell of its slot, over heads; a slot below 0 is none."""
    write, put_column = WRITE[format_name], column_writer(LAYOUTS[format_name])

    @kernel(f"store_keys_{format_name}")
    def put(new, cells, slots, tokens, groups, d, row_bytes, room, room_size, first, last, thread):
        room += thread * room_size
        for token in range(tokens):
            slot = load_i32(slots + 4 * token)
            if slot >= 0:
                half = slot // TILE * groups * 2 + slot % TILE // ROWS
                for group in range(first, last):
                    write(room, new + 4 * d * (token * groups + group), d)
                    at = cells + (half + 2 * group) * ROWS * row_bytes
                    put_column(at, slot % ROWS, room, row_bytes)

    return put


@once
def value_storer(format_name: str) -> Kernel:
    """The same of values."""
    write = WRITE[format_name]

    @kernel(f"store_values_{format_name}")
    def put(new, cells, slots, tokens, groups, d, row_bytes, first, last, thread):
        for token in range(tokens):
            slot = load_i32(slots + 4 * token)
            if slot >= 0:
                start = slot // TILE * groups * TILE + slot % TILE
                for group in range(first, last):
                    at = cells + (start + group * TILE) * row_bytes
                    write(at, new + 4 * d * (token * groups + group), d)

    return put


# ---- on a tape


def _put_keys(name: str) -> Callable[..., None]:
    def put(tape: Tape, out: Any, new: Any, cells: Any, slots: Any) -> None:
        tokens, groups, d = new.shape
        if not cells.is_tiled:
            _put_rows(tape, name, new, cells.rows, slots)
            return
        size = -(-cells.row_bytes // 64) * 64
        values = tokens, groups, d, cells.row_bytes, tape.room(size), size
        grain = max(1, PIECE // max(1, tokens * d))
        tape.add(key_storer(name), groups, grain, new, cells.keys, slots, *values)

    return put


def _put_values(name: str) -> Callable[..., None]:
    def put(tape: Tape, out: Any, new: Any, cells: Any, slots: Any) -> None:
        tokens, groups, d = new.shape
        if not cells.is_tiled:
            _put_rows(tape, name, new, cells.rows, slots)
            return
        values = tokens, groups, d, cells.row_bytes
        grain = max(1, PIECE // max(1, tokens * d))
        tape.add(value_storer(name), groups, grain, new, cells.values, slots, *values)

    return put


def _put_rows(tape: Tape, name: str, new: Any, rows: Any, slots: Any) -> None:
    tokens, groups, d = new.shape
    grain = max(1, PIECE // max(1, tokens * d))
    tape.add(storer(name), groups, grain, new, rows, slots, tokens, groups, d, rows.strides[1])


def _put_numbers(tape: Tape, out: Any, new: Any, cells: np.ndarray, slots: Any) -> None:
    _put_rows(tape, "F32", new, cells, slots)


KERNELS: dict[str, Callable[..., None]] = {
    "store_keys": _put_numbers,
    "store_values": _put_numbers,
    **{f"store_keys.{name}": _put_keys(name) for name in WRITE},
    **{f"store_values.{name}": _put_values(name) for name in WRITE},
}
