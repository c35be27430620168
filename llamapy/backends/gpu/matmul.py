"""Products with matrices of weights: straight from the blocks, for few rows or for many."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .device import Call
from .memory import Buffer
from .source import Program, has_dot, readable

FEW = 8  # rows of x that are multiplied with each row of weights as it is read
ROWS_OF_GROUP = 4  # rows of weights that a group multiplies
TILE = 32  # rows and columns of the result that a group computes, of many
ACTIVATION_BYTES = 40  # 32 of them: a scale, a sum and 32 bytes


def matmul(gpu: Any, out: Buffer, x: Buffer, w: Buffer) -> Iterator[Call]:
    m, k = w.shape
    yield from product(gpu, out, x, w, n=x.size // max(1, k), x_row=k, out_row=m)


def batched_matmul(gpu: Any, out: Buffer, x: Buffer, w: Buffer) -> Iterator[Call]:
    batch, n, k = x.shape
    m = w.shape[1]
    yield from product(
        gpu, out, x, w, n=n, batch=batch, x_row=k, out_row=m, x_batch=n * k, out_batch=n * m
    )


def head_matmul(gpu: Any, out: Buffer, x: Buffer, w: Buffer) -> Iterator[Call]:
    n, heads, k = x.shape
    m = w.shape[1]
    yield from product(
        gpu, out, x, w, n=n, batch=heads, x_row=heads * k, out_row=heads * m, x_batch=k, out_batch=m
    )


def product(
    gpu: Any,
    out: Buffer,
    x: Buffer,
    w: Buffer,
    *,
    n: int,
    x_row: int,
    out_row: int,
    batch: int = 1,
    x_batch: int = 0,
    out_batch: int = 0,
) -> Iterator[Call]:
    """n rows with m, for each of a batch; `x_row` values lie between two rows of x, and so on."""
    m, k = w.shape[-2:]
    if not math.prod((n, m, batch)):
        return
    program = Program("matmul", (w.format,))
    strides = [x_row, x_batch, out_row, out_batch]
    if n > FEW:
        tiles = -(-m // TILE) * -(-n // TILE) * batch
        yield gpu.call("matmul_tiled", program, tiles, [out, x, w, n, m, k, *strides])
        return
    groups = -(-m // ROWS_OF_GROUP) * batch
    few = "1" if n == 1 else str(FEW)
    if has_dot(w.format) and gpu.precision != "float32" and x_row == k and not x_batch:
        blocks = n * k // 32
        rounded = gpu.scratch(blocks * ACTIVATION_BYTES)
        yield gpu.call("round_activations", "activations", -(-blocks // 64), [rounded, x, blocks])
        yield gpu.call(f"matvec_rounded_{few}", program, groups, [out, rounded, w, n, m, k])
        return
    yield gpu.call(f"matvec_{few}", program, groups, [out, x, w, n, m, k, *strides])


def _names(operation: str) -> list[str]:
    return [operation, *(f"{operation}.{name}" for name in readable())]


KERNELS = {
    **dict.fromkeys(_names("matmul"), matmul),
    **dict.fromkeys(_names("batched_matmul"), batched_matmul),
    **dict.fromkeys(_names("head_matmul"), head_matmul),
}
PROGRAMS = [Program("activations"), *(Program("matmul", (name,)) for name in readable())]
