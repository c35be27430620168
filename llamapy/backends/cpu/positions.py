# mypy: check-untyped-defs=False
"""What is computed with positions: ends of chunks, growth, and scores of distances."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ops.position import _buckets
from .attention_parts import clear, find_cells
from .elementwise import PIECE, float_of, mul_rows, rows_of
from .kernel import kernel
from .simd import least, load_f32, load_i32, most, store_f32, store_u32
from .tape import Tape


@kernel("chunk_ends")
def chunk_ends(out, positions, length, first, last, thread):
    """The last position of the chunk that each is in."""
    for k in range(first, last):
        store_u32(out + 4 * k, load_i32(positions + 4 * k) // length * length + length - 1)


@kernel("growth_far")
def growth(out, positions, strength, period, offset, first, last, thread):
    """Of each position, what queries there are multiplied by; the parameters lie in memory."""
    for k in range(first, last):
        position = np.float32(load_i32(positions + 4 * k)) + float_of(offset)
        passed = np.floor(position / float_of(period))
        grown = math.log(np.float64(passed) + 1.0) * np.float64(float_of(strength)) + 1.0
        store_f32(out + 4 * k, np.float32(grown))


@kernel("bias_of_distances")
def bias_of_distances(
    out,
    w,
    positions,
    sequences,
    cell_positions,
    pages,
    lengths,
    buckets,
    farthest,
    after_from,
    heads,
    page,
    page_count,
    room,
    room_size,
    first,
    last,
    thread,
):
    """The score of each cell's distance, over tokens; buckets after a token are the second half."""
    numbers, cells = room + thread * room_size, page * page_count
    for token in range(first, last):
        there = out + 4 * token * heads * cells
        clear(there, heads * cells)
        sequence = load_i32(sequences + 4 * token)
        if sequence < 0:
            continue
        length = load_i32(lengths + 4 * sequence)
        find_cells(numbers, pages + 4 * page_count * sequence, page, length)
        for cell in range(length):
            at = load_i32(cell_positions + 4 * load_i32(numbers + 4 * cell))
            distance, more = load_i32(positions + 4 * token) - at, 0
            if distance < 0 and after_from > 0:
                distance, more = -distance, after_from
            bucket = load_i32(buckets + 4 * least(farthest, most(0, distance))) + more
            for head in range(heads):
                value = load_f32(w + 4 * (bucket * heads + head))
                store_f32(there + 4 * (head * cells + cell), value)


# ---- on a tape


def put_chunk_ends(tape: Tape, out: Any, positions: Any, *, length: int) -> None:
    tape.add(chunk_ends, positions.size, PIECE, out, positions, length)


def put_grow_far(
    tape: Tape, out: Any, q: Any, positions: Any, *, strength: float, period: float, offset: float
) -> None:
    factors, n = np.empty(positions.size, np.float32), positions.size
    numbers = (np.float32(each) for each in (strength, period, offset))
    tape.add(growth, n, PIECE, factors, positions, *numbers)
    columns = q.size // max(1, n)
    tape.add(mul_rows, *rows_of(q, columns), out, q, factors, 4, columns)


def _bias(after: bool) -> Callable[..., None]:
    def put(
        tape: Tape,
        out: Any,
        w: Any,
        positions: Any,
        sequences: Any,
        cell_positions: Any,
        pages: Any,
        lengths: Any,
        *,
        page: int,
        far: int = 128,
    ) -> None:
        n_buckets, heads = w.shape
        half = n_buckets // 2 if after else 0
        # of distances from `far` on there is one bucket
        buckets = _buckets(np.arange(far + 1), half or n_buckets, far).astype(np.int32)
        size = -(-4 * page * pages.shape[1] // 64) * 64
        operands = w, positions, sequences, cell_positions, pages, lengths, buckets
        sizes = far, half, heads, page, pages.shape[1], tape.room(size), size
        tape.add(bias_of_distances, positions.size, 1, out, *operands, *sizes)

    return put


KERNELS: dict[str, Callable[..., None]] = {
    "chunk_ends": put_chunk_ends,
    "grow_far": put_grow_far,
    "bias_behind": _bias(after=False),
    "bias_around": _bias(after=True),
}
