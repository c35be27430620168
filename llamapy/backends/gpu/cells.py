"""Rows read and written by number: embeddings, and the cells of a cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .device import Call
from .memory import Buffer
from .source import Program, readable, writable

LANES = 64


def lookup(gpu: Any, out: Buffer, ids: Buffer, w: Buffer) -> Iterator[Call]:
    columns = w.shape[-1]
    rows = math.prod(w.shape[1:-1])  # of each number
    pieces = ids.size * rows * -(-columns // 32)
    yield gpu.call(
        "lookup",
        Program("cells", (w.format,)),
        -(-pieces // LANES),
        [out, ids, w, ids.size, rows, columns],
    )


def store(gpu: Any, cells: Buffer, new: Buffer, same: Buffer, slots: Buffer) -> Iterator[Call]:
    n, heads, columns = new.shape
    pieces = n * heads * -(-columns // 32)
    yield gpu.call(
        "store",
        Program("cells", (cells.format,)),
        -(-pieces // LANES),
        [new, cells, slots, n, heads, columns],
    )


KERNELS = {
    **{f"lookup.{name}": lookup for name in readable()},
    "lookup": lookup,
    **{
        f"{name}{suffix}": store
        for name in ("store", "store_keys", "store_values")
        for suffix in ("", *(f".{stored}" for stored in writable()))
    },
}
PROGRAMS = [Program("cells"), *(Program("cells", (name,)) for name in readable())]
