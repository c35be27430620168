# mypy: check-untyped-defs=False
"""Rows put together from parts of others: columns, heads, and numbers that stand for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .kernel import kernel
from .store import PIECE, move, put_lookup
from .tape import Tape


@kernel("lay")
def lay(out, out_row, x, x_row, n_bytes, times, first, last, thread):
    """Some bytes of each row into each row of another table, so many times side by side."""
    for row in range(first, last):
        there, here = out + out_row * row, x + x_row * row
        for k in range(times):
            move(there + n_bytes * k, here, n_bytes)


def put_part(tape: Tape, out: Any, start: int, x: Any, x_start: int, count: int) -> None:
    """Columns of x from one on become columns of `out`, both with as many rows."""
    columns, x_columns = out.shape[-1], x.shape[-1]
    rows = x.size // max(1, x_columns)
    at, x_at = (array.reshape(-1)[first:] for array, first in ((out, start), (x, x_start)))
    if count and rows:
        grain = max(1, PIECE // (4 * count))
        tape.add(lay, rows, grain, at, 4 * columns, x_at, 4 * x_columns, 4 * count, 1)


def put_columns(tape: Tape, out: Any, x: Any, *, start: int, count: int) -> None:
    put_part(tape, out, 0, x, start, out.shape[1])


def put_join(tape: Tape, out: Any, x: Any, y: Any) -> None:
    put_part(tape, out, 0, x, 0, x.shape[-1])
    put_part(tape, out, x.shape[-1], y, 0, y.shape[-1])


def put_fill_columns(tape: Tape, out: Any, x: Any, *, start: int, count: int, value: float) -> None:
    (rows, columns), stop = x.shape, start + count
    put_part(tape, out, 0, x, 0, start)
    put_part(tape, out, stop, x, stop, columns - stop)
    if rows:
        same, at = np.full(count, value, np.float32), out.reshape(-1)[start:]
        tape.add(lay, rows, max(1, PIECE // (4 * count)), at, 4 * columns, same, 0, 4 * count, 1)


def put_repeat_heads(tape: Tape, out: Any, x: Any, *, times: int) -> None:
    n, heads, d = x.shape
    grain = max(1, PIECE // max(1, 4 * d * times))
    tape.add(lay, n * heads, grain, out, 4 * d * times, x, 4 * d, 4 * d, times)


KERNELS: dict[str, Callable[..., None]] = {
    "columns": put_columns,
    "join": put_join,
    "fill_columns": put_fill_columns,
    "repeat_heads": put_repeat_heads,
    "translate": put_lookup,
}
