"""Rows read and written by number: embeddings, and the cells of a cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ... import quants
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


def copy(gpu: Any, cells: Buffer, same: Buffer, sources: Buffer, targets: Buffer) -> Iterator[Call]:
    """Bytes, whatever the format: no cell is both a source and a target."""
    shape, dtype = cells.raw
    n_bytes = math.prod(shape[1:]) * dtype.itemsize
    wide = 16 if n_bytes % 16 == 0 else 1  # bytes of a lane
    lanes = sources.size * (n_bytes // wide)
    args = [cells, sources, targets, sources.size, n_bytes, wide]
    yield gpu.call("copy_cells", "cells", -(-lanes // LANES), args)


KERNELS = {
    "copy_cells": copy,
    **{f"copy_cells.{quant.name}": copy for quant in quants.formats()},
    **{f"lookup.{name}": lookup for name in readable()},
    "lookup": lookup,
    **{
        f"{name}{suffix}": store
        for name in ("store", "store_keys", "store_values")
        for suffix in ("", *(f".{stored}" for stored in writable()))
    },
}
PROGRAMS = [Program("cells"), *(Program("cells", (name,)) for name in readable())]
