# mypy: check-untyped-defs=False
"""Attention in its three steps, for those who look between them: scores, shares, mixed values.

`attention.py` does all in one pass; these read one cell after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .cells import READ
from .elementwise import float_of
from .kernel import Kernel, aligned_bytes, device, kernel, once
from .simd import (
    fma,
    least,
    load_f32,
    load_first_floats,
    load_floats16,
    load_i32,
    reduce_add,
    repeat_float,
    store_f32,
    store_first,
    store_u32,
)
from .tape import Tape

NOTHING = np.float32(-np.inf)


@device
def clear(at, count):
    """So many zeros."""
    for k in range(0, count, 16):
        store_first(at + 4 * k, repeat_float(0.0), least(16, count - k))


@device
def find_cells(at, pages, page, count):
    """The numbers of a sequence's first cells, as int32."""
    for k in range(count):
        store_u32(at + 4 * k, load_i32(pages + 4 * (k // page)) * page + k % page)


@device
def _dot(x, y, count):
    """Of `count` numbers with as many; those of y are filled up with zeros."""
    total = repeat_float(0.0)
    for k in range(0, count, 16):
        value = load_first_floats(x + 4 * k, least(16, count - k))
        total = fma(value, load_floats16(y + 4 * k), total)
    return reduce_add(total)


@device
def _add_times(out, x, factor, count):
    for k in range(0, count, 16):
        rest = least(16, count - k)
        value = fma(load_floats16(x + 4 * k), factor, load_first_floats(out + 4 * k, rest))
        store_first(out + 4 * k, value, rest)


@once
def scores(format_name: str) -> Kernel:
    """Each query with the keys of its sequence, over tokens."""
    read = READ[format_name]

    @kernel(f"attention_scores_{format_name}")
    def compute(
        out,
        q,
        k,
        sequences,
        pages,
        lengths,
        page,
        page_count,
        heads,
        groups,
        d,
        head_bytes,
        room,
        room_size,
        first,
        last,
        thread,
    ):
        key, cells, shared = room + thread * room_size, page * page_count, heads // groups
        numbers = key + 4 * ((d + 15) // 16 * 16)
        for token in range(first, last):
            there = out + 4 * token * heads * cells
            clear(there, heads * cells)
            sequence = load_i32(sequences + 4 * token)
            if sequence < 0:
                continue
            length = load_i32(lengths + 4 * sequence)
            find_cells(numbers, pages + 4 * page_count * sequence, page, length)
            for cell in range(length):
                for group in range(groups):
                    at = load_i32(numbers + 4 * cell) * groups + group
                    read(key, k + at * head_bytes, d)
                    for head in range(group * shared, (group + 1) * shared):
                        score = _dot(q + 4 * d * (token * heads + head), key, d)
                        store_f32(there + 4 * (head * cells + cell), score)

    return compute


@kernel("attention_softmax")
def softmax(
    out,
    x,
    positions,
    reach,
    sequences,
    cell_positions,
    pages,
    lengths,
    sinks,
    slopes,
    bias,
    page,
    page_count,
    scale,
    window,
    softcap,
    heads,
    room,
    room_size,
    first,
    last,
    thread,
):
    """How much of each cell every head of a token takes, over tokens."""
    scale, softcap = float_of(scale), float_of(softcap)
    numbers, cells = room + thread * room_size, page * page_count
    for token in range(first, last):
        clear(out + 4 * token * heads * cells, heads * cells)
        sequence = load_i32(sequences + 4 * token)
        if sequence < 0:
            continue
        here, until = load_i32(positions + 4 * token), load_i32(reach + 4 * token)
        length = load_i32(lengths + 4 * sequence)
        find_cells(numbers, pages + 4 * page_count * sequence, page, length)
        for head in range(heads):
            row = 4 * (token * heads + head) * cells
            top = sink = load_f32(sinks + 4 * head) if sinks != 0 else NOTHING
            for cell in range(length):
                at = load_i32(cell_positions + 4 * load_i32(numbers + 4 * cell))
                score = NOTHING
                if at >= 0 and at <= until and at > here - window:
                    score = load_f32(x + row + 4 * cell) * scale
                    if softcap > 0:
                        score = softcap * np.tanh(score / softcap)
                    if bias != 0:
                        score += load_f32(bias + row + 4 * cell)
                    if slopes != 0:
                        score -= load_f32(slopes + 4 * head) * np.float32(abs(here - at))
                # NaN is kept
                top = score if score > top or score != score else top
                store_f32(out + row + 4 * cell, score)
            top = top if np.isfinite(top) else np.float32(0)
            total = np.float32(0)
            for cell in range(length):
                e = np.exp(load_f32(out + row + 4 * cell) - top)
                total += e
                store_f32(out + row + 4 * cell, e)
            total += np.exp(sink - top)
            if total > 0:
                for cell in range(length):
                    store_f32(out + row + 4 * cell, load_f32(out + row + 4 * cell) / total)


@once
def mix(format_name: str) -> Kernel:
    """The values of the cells, mixed by each head's shares, over tokens."""
    read = READ[format_name]

    @kernel(f"attention_mix_{format_name}")
    def compute(
        out,
        shares,
        v,
        sequences,
        pages,
        lengths,
        page,
        page_count,
        heads,
        groups,
        e,
        head_bytes,
        room,
        room_size,
        first,
        last,
        thread,
    ):
        value, cells, shared = room + thread * room_size, page * page_count, heads // groups
        numbers = value + 4 * ((e + 15) // 16 * 16)
        for token in range(first, last):
            there = out + 4 * token * heads * e
            clear(there, heads * e)
            sequence = load_i32(sequences + 4 * token)
            if sequence < 0:
                continue
            length = load_i32(lengths + 4 * sequence)
            find_cells(numbers, pages + 4 * page_count * sequence, page, length)
            for cell in range(length):
                for group in range(groups):
                    at = load_i32(numbers + 4 * cell) * groups + group
                    read(value, v + at * head_bytes, e)
                    for head in range(group * shared, (group + 1) * shared):
                        share = load_f32(shares + 4 * ((token * heads + head) * cells + cell))
                        _add_times(there + 4 * e * head, value, repeat_float(share), e)

    return compute


# ---- on a tape


def _rows(tape: Tape, cells: Any) -> Any:
    """The cells in rows. Of those that lie as attention likes them, a copy at each time."""
    if isinstance(cells, np.ndarray):
        return cells
    if not cells.is_tiled:
        return cells.rows
    shape = *cells.lead, cells.row_bytes
    rows = aligned_bytes(math.prod(shape)).reshape(shape)

    def refresh() -> None:
        rows[...] = cells.copy()

    tape.call(refresh)
    return rows


def _step(kernel_of: Callable[[str], Kernel], format_name: str) -> Callable[..., None]:
    """Scores or mixed values: both go through the cells of a token's sequence."""

    def put(
        tape: Tape,
        out: Any,
        x: Any,
        cells: Any,
        sequences: Any,
        pages: Any,
        lengths: Any,
        *,
        page: int,
    ) -> None:
        cells = _rows(tape, cells)
        (tokens, heads, _), groups = x.shape, cells.shape[1]
        d = x.shape[2] if kernel_of is scores else out.shape[2]
        size = -(-4 * (d + 16 + page * pages.shape[1]) // 64) * 64
        sizes = page, pages.shape[1], heads, groups, d, cells.strides[1], tape.room(size), size
        tape.add(
            kernel_of(format_name), tokens, 1, out, x, cells, sequences, pages, lengths, *sizes
        )

    return put


def put_softmax(
    tape: Tape,
    out: Any,
    *operands: Any,
    page: int,
    scale: float,
    window: int | None = None,
    softcap: float | None = None,
) -> None:
    (tokens, heads, _), pages = out.shape, operands[5]
    size = -(-4 * page * pages.shape[1] // 64) * 64
    window = 1 << 31 if window is None else window
    numbers = page, pages.shape[1], np.float32(scale), window, np.float32(softcap or 0), heads
    given = (0 if each is None else each for each in operands)
    tape.add(softmax, tokens, 1, out, *given, *numbers, tape.room(size), size)


KERNELS: dict[str, Callable[..., None]] = {
    "attention_softmax": put_softmax,
    "attention_scores": _step(scores, "F32"),
    "attention_mix": _step(mix, "F32"),
    **{f"attention_scores.{name}": _step(scores, name) for name in READ},
    **{f"attention_mix.{name}": _step(mix, name) for name in READ},
}
