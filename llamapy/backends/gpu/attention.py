"""Attention over the cells of a cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...ops import OPERATIONS
from .device import Call
from .memory import Buffer
from .signed import parameters
from .source import Program

READ = ("F32", "F16", "BF16")  # formats of cells


def attend(
    gpu: Any, out: Buffer, q: Buffer, k: Buffer, v: Buffer, *rest: Any, **params: Any
) -> Iterator[Call]:
    n, heads, size = q.shape
    sizes = (("KEY_SIZE", size), ("VALUE_SIZE", v.shape[-1]))
    program = Program("attention", (k.format, v.format), sizes)
    n_pages = rest[4].shape[1]
    yield gpu.call(
        "attend",
        program,
        n * heads,
        [
            out,
            q,
            k,
            v,
            *rest,
            *parameters(OPERATIONS["attend"], params),
            heads,
            k.shape[1],
            n_pages,
        ],
    )


KERNELS = {"attend": attend, **{f"attend.{name}.{name}": attend for name in READ}}
PROGRAMS = [
    Program("attention", (name, name), (("KEY_SIZE", size), ("VALUE_SIZE", size)))
    for name, size in zip(READ, (80, 128, 256), strict=True)
]
