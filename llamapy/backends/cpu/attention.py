# mypy: check-untyped-defs=False
"""Attention on a tape: what a piece of work is, and which kernels do it.

A piece is some tokens, one key head with all heads that share it, and one part of the keys or all.
Tokens of one sequence that follow one another are a run. A run of few rows meets keys and values as
they lie in the cache; one of many, and cells that do not lie as attention likes them, meets them as
float32, brought there once for all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import targets
from .attention_blocks import find_block
from .attention_queries import PAIRS
from .attention_readers import row_keys, row_values, tiled_keys
from .attention_rows import LOG2_E, take_shares
from .attention_run import PART, ROOM, fold_parts, room_bytes, run_kernel, state_bytes
from .attention_steps import most_rows
from .blocks import Blocks
from .cells import READ, TILE, rows_of
from .floats import FLOAT_LAYOUTS
from .kernel import aligned_bytes, kernel
from .simd import least, load_i32, load_i64, store_i64
from .tape import Tape, call_kernel

ROWS = 64  # that share a block of keys, if the tokens are many
FEW = 8  # rows for which keys and values are not brought anywhere
# pieces for each thread, below which the keys are shared out as well
PIECES = 8
GIVEN = 4  # arguments of a run that change from piece to piece: its room, group, and parts


@kernel("attend")
def attend(
    few,
    few_rows,
    many,
    arguments,
    count,
    sequences,
    tokens,
    together,
    shared,
    groups,
    parts,
    part_count,
    room,
    room_size,
    first,
    last,
    thread,
):
    """Runs, over pieces: `parts` of each token group and key head, or all `part_count` at once."""
    head = room + thread * room_size
    for k in range(GIVEN, count):
        store_i64(head + 8 * k, load_i64(arguments + 8 * k))
    store_i64(head, head + (8 * count + 63) // 64 * 64)
    for piece in range(first, last):
        part, rest = piece % parts, piece // parts
        store_i64(head + 8, rest % groups)
        store_i64(head + 16, part)
        store_i64(head + 24, part + 1 if parts > 1 else part_count)
        start = rest // groups * together
        end = least(tokens, start + together)
        while start < end:
            sequence = load_i32(sequences + 4 * start)
            stop = start + 1
            while stop < end and load_i32(sequences + 4 * stop) == sequence:
                stop += 1
            kernel = few if (stop - start) * shared <= few_rows else many
            call_kernel(kernel, head, start, stop, thread)
            start = stop


class _Cells:
    """Keys or values in memory: of which format, where, and so many bytes from tile to tile, cell
    to cell and head to head.
    """

    def __init__(self, buffer: Any, form: str) -> None:
        self.format = buffer.quant.name if isinstance(buffer, Blocks) else "F32"
        self.is_tiled = isinstance(buffer, Blocks) and buffer.form == form
        if self.is_tiled:
            self.memory, self.groups, row = getattr(buffer, form), buffer.lead[1], buffer.row_bytes
            self.strides = TILE * self.groups * row, row, TILE * row
        else:
            self.memory = rows_of(buffer)
            self.groups, row = self.memory.shape[1], self.memory.strides[1]
            self.strides = TILE * self.groups * row, self.groups * row, row


def _key_kinds(cells: _Cells, precision: str | None) -> tuple[str, str]:
    """How few rows meet such keys, and how many do."""
    name = cells.format
    if not cells.is_tiled:
        return ROOM, ROOM
    if name == "F32":
        return name, name
    if name == "BF16" and precision is None and targets.current().has_bf16_dot:
        return PAIRS, PAIRS
    if name in FLOAT_LAYOUTS:
        return name, ROOM
    return (name, name) if precision is None else (ROOM, ROOM)


def _value_kinds(cells: _Cells, e: int) -> tuple[str, str]:
    if not cells.is_tiled or e % 32:
        return ROOM, ROOM
    return cells.format, cells.format if cells.format == "F32" else ROOM


def _put(
    tape: Tape,
    out: Any,
    q: Any,
    k: Any,
    v: Any,
    positions: Any,
    reach: Any,
    sequences: Any,
    cell_positions: Any,
    pages: Any,
    lengths: Any,
    sinks: Any,
    slopes: Any,
    bias: Any,
    precision: str | None = None,
    *,
    page: int,
    scale: float,
    window: int | None = None,
    softcap: float | None = None,
) -> None:
    if not out.size:
        return
    keys, values = _Cells(k, "keys"), _Cells(v, "values")
    if page % TILE and (keys.is_tiled or values.is_tiled):
        k.rows, v.rows  # noqa: B018
        keys, values = _Cells(k, "keys"), _Cells(v, "values")
    (tokens, heads, d), e, groups = q.shape, out.shape[2], keys.groups
    shared, largest = heads // groups, most_rows()
    tile = next((n for n in (1, 2, 4) if largest > n >= shared), largest)
    together = max(1, min(tokens, ROWS // shared))
    (few_keys, many_keys), (few_values, many_values) = (
        _key_kinds(keys, precision),
        _value_kinds(values, e),
    )
    many = run_kernel(many_keys, many_values, largest)
    few = run_kernel(few_keys, few_values, tile) if shared <= FEW else many
    pieces = -(-tokens // together) * groups
    part_count = -(-page * pages.shape[1] // PART)
    parts = part_count if pieces < PIECES * tape.threads else 1
    between: Any = 0
    if parts > 1:
        between = aligned_bytes(tokens * heads * part_count * state_bytes(e))
    fold_parts.address  # noqa: B018  compiled now, not when a sequence has grown long
    is_plain = softcap is None and slopes is None and bias is None
    factor = scale * LOG2_E if is_plain else scale
    read_keys = tiled_keys if keys.is_tiled else row_keys
    values_of_run = (
        *(0,) * GIVEN,
        out,
        between,
        part_count,
        q,
        keys.memory,
        values.memory,
        read_keys(keys.format).address if ROOM in (few_keys, many_keys) else 0,
        row_values(values.format).address if ROOM in (few_values, many_values) else 0,
        *(0 if each is None else each for each in (sinks, slopes, bias)),
        cell_positions,
        pages,
        lengths,
        sequences,
        positions,
        reach,
        page,
        pages.shape[1],
        find_block.address,
        take_shares.address,
        np.float32(factor),
        np.float32(1 if is_plain else LOG2_E),
        1 << 31 if window is None else window,
        np.float32(softcap or 0),
        heads,
        groups,
        d,
        e,
        *keys.strides,
        *values.strides,
    )
    arguments = tape.arguments(values_of_run)
    rows = -(-together * shared // largest) * largest
    size = -(-(8 * len(arguments) + 64 + room_bytes(rows, d, e)) // 64) * 64
    tape.add(
        attend,
        pieces * parts,
        1,
        few.address,
        FEW if shared <= FEW else 0,
        many.address,
        arguments,
        len(arguments),
        sequences,
        tokens,
        together,
        shared,
        groups,
        parts,
        part_count,
        tape.room(size),
        size,
    )
    if parts > 1:
        size = state_bytes(e)
        numbers = part_count, sequences, lengths, 0 if sinks is None else sinks, heads, e
        tape.add(fold_parts, tokens * heads, 1, out, between, *numbers, tape.room(size), size)


def kernels(precision: str | None) -> dict[str, Callable[..., None]]:
    """What goes on a tape; `precision` "float32" rounds no query to 8 bits, or to BF16."""
    put = partial(_put, precision=precision)
    return {"attend": put, **{f"attend.{name}.{name}": put for name in READ}}
