"""Products of many rows by the library of a device's maker, on weights made plain before.

Only devices that have such a library do this: `Device.library` is then what it multiplies best.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .device import Call
from .memory import Buffer
from .source import Program, readable

FROM = 32  # rows of x: below, reading the blocks as they are is faster
PLAIN = {"F32": 32, "BF16": 16, "F16": 5}  # what kernels call the kinds of plain numbers
AT_ONCE = 64 << 20  # bytes of weights that are made plain at a time
ALIGNED = 256


def is_for(gpu: Any, n: int) -> bool:
    """Whether so many rows are multiplied in this way."""
    return n >= FROM and gpu.device.library is not None


def product(gpu: Any, out: Buffer, x: Buffer, w: Buffer, n: int) -> Iterator[Call]:
    """n rows of x with all rows of w, slice by slice."""
    m, k = w.shape
    kind = _kind(gpu, w.format)
    width = 4 if kind == "F32" else 2
    x_bytes = 0 if kind == "F32" else -(-n * k * width // ALIGNED) * ALIGNED
    at_once = m if kind == w.format else min(m, max(1, AT_ONCE // (k * width)))
    w_bytes = 0 if kind == w.format else at_once * k * width
    room = gpu.scratch(x_bytes + w_bytes) if x_bytes + w_bytes else None
    rows: tuple[Any, int] = (x, 0)
    if x_bytes:
        yield _unpack(gpu, room, 0, x, "F32", kind, 0, n, k)
        rows = (room, 0)
    for first in range(0, m, at_once):
        count = min(at_once, m - first)
        weights: tuple[Any, int] = (w, 0)
        if w_bytes:
            yield _unpack(gpu, room, x_bytes, w, w.format, kind, first, count, k)
            weights = (room, x_bytes)
        yield gpu.device.library.product(kind, (out, 4 * first), weights, rows, (n, count, k), m)


def _kind(gpu: Any, name: str) -> str:
    """As which numbers weights are multiplied."""
    if gpu.precision == "float32" or name == "F32":
        return "F32"
    kind = str(gpu.device.library.kind)
    return name if name in ("F16", kind) else kind  # bfloat16 is not for all devices


def _unpack(
    gpu: Any,
    room: Any,
    first_byte: int,
    rows: Buffer,
    name: str,
    kind: str,
    first: int,
    count: int,
    columns: int,
) -> Call:
    lanes = math.prod((count, -(-columns // 32)))
    args = [room, rows, first_byte, first, count, columns]
    return gpu.call("unpack", _program(name, kind), -(-lanes // 64), args)


def _program(name: str, kind: str) -> Program:
    return Program("dense", (name,), (("NUMBERS", PLAIN[kind]),))


PROGRAMS = [*(_program(name, "BF16") for name in readable()), _program("F32", "F16")]
