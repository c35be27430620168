# mypy: check-untyped-defs=False
"""Rows moved: into cells of a cache, between them, and out of plain tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .cells import WRITE, rows_of
from .kernel import Kernel, aligned_bytes, device, kernel, once
from .simd import load_bytes16, load_i32, load_u8, load_u32, store, store_u8, store_u32
from .tape import Tape

# bytes that one thread moves at a time
PIECE = 16384


@device
def move(target, source, count):
    """Copy so many bytes."""
    whole = count // 16 * 16
    for k in range(0, whole, 16):
        store(target + k, load_bytes16(source + k))
    for k in range(whole, count):
        store_u8(target + k, load_u8(source + k))


@once
def storer(format_name: str) -> Kernel:
    """Each token's heads into the cell of its slot, over heads; a slot below 0 is none.

    Of tokens with the same slot the last one counts, as in NumPy, whatever the threads.
    """
    write = WRITE[format_name]

    @kernel(f"store_{format_name}")
    def put(new, cells, slots, tokens, groups, d, head_bytes, first, last, thread):
        for token in range(tokens):
            slot = load_i32(slots + 4 * token)
            if slot >= 0:
                for group in range(first, last):
                    at = cells + (slot * groups + group) * head_bytes
                    write(at, new + 4 * d * (token * groups + group), d)

    return put


@kernel("place")
def place(new, cells, slots, first, last, thread):
    """Whole numbers into the cells of their slots."""
    for k in range(first, last):
        slot = load_i32(slots + 4 * k)
        if slot >= 0:
            store_u32(cells + 4 * slot, load_u32(new + 4 * k))


@kernel("gather")
def gather(out, table, ids, row_bytes, count, first, last, thread):
    """out[k] = table[ids[k]]; numbers below 0 count from the end."""
    for k in range(first, last):
        row = load_i32(ids + 4 * k)
        row = row + count if row < 0 else row
        move(out + row_bytes * k, table + row_bytes * row, row_bytes)


@kernel("scatter")
def scatter(table, rows, ids, row_bytes, count, first, last, thread):
    """table[ids[k]] = rows[k]."""
    for k in range(first, last):
        row = load_i32(ids + 4 * k)
        row = row + count if row < 0 else row
        move(table + row_bytes * row, rows + row_bytes * k, row_bytes)


# ---- on a tape


def _grain(row_bytes: int) -> int:
    return max(1, PIECE // max(1, row_bytes))


def _store(format_name: str) -> Callable[..., None]:
    def put(tape: Tape, out: Any, new: Any, cells: Any, slots: Any) -> None:
        tokens, groups, d = new.shape
        cells = rows_of(cells)
        values = new, cells, slots, tokens, groups, d, cells.strides[1]
        tape.add(storer(format_name), groups, _grain(4 * tokens * d), *values)

    return put


def put_place(tape: Tape, out: Any, new: Any, cells: Any, slots: Any) -> None:
    tape.add(place, new.size, new.size, new, cells, slots)


def put_copy_cells(tape: Tape, out: Any, cells: Any, sources: Any, targets: Any) -> None:
    """All are read before one is written, and written in order."""
    if getattr(cells, "is_laid_out", False):
        tape.call(lambda: cells.put(targets, cells.take(sources)))
        return
    cells = rows_of(cells)
    count, size = sources.size, cells.strides[0]
    between = aligned_bytes(count * size)
    tape.add(gather, count, _grain(size), between, cells, sources, size, len(cells))
    tape.add(scatter, count, count, cells, between, targets, size, len(cells))


def put_lookup(tape: Tape, out: Any, ids: Any, table: Any) -> None:
    if len(table):
        size = table.strides[0]
        tape.add(gather, ids.size, _grain(size), out, table, ids, size, len(table))


KERNELS: dict[str, Callable[..., None]] = {
    "store": _store("F32"),
    **{f"store.{name}": _store(name) for name in WRITE},
    "place": put_place,
    "copy_cells": put_copy_cells,
    "lookup": put_lookup,
}
