# mypy: check-untyped-defs=False
"""Attention in one pass over the keys, with a softmax that is corrected as larger scores appear.

A piece of work is some tokens of one sequence and the heads that share a key head: their queries
are the rows of a small matrix. Keys come in blocks, which are decoded once for all rows and turned,
so that a register holds one column of 16 keys; values are used as they lie. What a row gets does
not depend on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import instructions as code
from .attention_rows import KEYS, NOTHING, outer, rows_from, rows_to, softmax_row
from .cells import READ, reader, rows_of
from .elementwise import float_of
from .floats import turner
from .kernel import Kernel, device, kernel, once
from .simd import (
    copies,
    least,
    load_f32,
    load_floats16,
    load_i32,
    most,
    prefetch_once,
    repeat_float,
    store,
    store_f32,
    store_first,
    store_i64,
    store_u32,
)
from .tape import Tape, call_kernel

TILES = (1, 4, 8)  # rows in registers
ROWS = 32  # that share a block of keys, if the tokens are many


@device
def _clear(at, count):
    for k in range(0, count, 16):
        store(at + 4 * k, repeat_float(0.0))


@device
def _find_cells(at, pages, page, start, count):
    """The numbers of a sequence's cells from `start` on, as int32: a division for all of them."""
    index, inside = start // page, start % page
    first = load_i32(pages + 4 * index) * page
    for k in range(count):
        if inside == page:
            index, inside = index + 1, 0
            first = load_i32(pages + 4 * index) * page
        store_u32(at + 4 * k, first + inside)
        inside += 1


@device
def _fetch(cells, cell_row, head_bytes, numbers, count):
    """Ask for a head of these cells, to be read soon."""
    for k in range(count):
        at = cells + load_i32(numbers + 4 * k) * cell_row
        for line in range(0, head_bytes, 64):
            prefetch_once(at + line)


@device
def _read(reader, call, cells, numbers, count, thread):
    """Let the format's kernel read: what else it needs is in `call` already."""
    store_i64(call + 16, cells)
    store_i64(call + 32, numbers)
    call_kernel(reader, call, 0, count, thread)


@once
def attention(tile: int) -> Kernel:
    """attend, over groups of tokens and key heads; `tile` rows are in registers at once."""
    turn, score_step, mix_step = turner(code.FLOAT), outer(tile, 4), outer(tile, 4 * KEYS)
    load_rows, put_rows, registers = rows_from(tile), rows_to(tile), 2 * tile

    @device
    def turn_keys(turned, keys, width, first):
        """16 keys as columns of KEYS."""
        for column in range(0, width, 16):
            at = turned + 4 * (column * KEYS + first)
            turn(keys + 4 * column, 4 * width, at, 4 * KEYS)

    @device
    def attend_run(
        thread,
        reader,
        out,
        q,
        k,
        v,
        sinks,
        slopes,
        bias,
        cell_positions,
        pages,
        positions,
        reach,
        start,
        tokens,
        length,
        group,
        page,
        cells,
        scale,
        window,
        softcap,
        heads,
        groups,
        d,
        e,
        k_row,
        v_row,
        room,
    ):
        """Some tokens of one sequence, with the heads of one group."""
        shared = heads // groups
        count = tokens * shared
        rows = (count + tile - 1) // tile * tile
        width, depth = (d + 15) // 16 * 16, (e + 31) // 32 * 32
        queries = room  # [width, rows]
        mixed = queries + 4 * width * rows  # [rows, depth]
        scores = mixed + 4 * depth * rows  # [rows, KEYS]
        turned = scores + 4 * KEYS * rows  # [width, KEYS]
        values = turned + 4 * KEYS * width  # [KEYS, depth]; of keys, 16 at a time
        seen_at = values + 4 * KEYS * depth + 64 * width
        numbers = seen_at + 4 * KEYS
        following = numbers + 4 * KEYS
        tops = following + 4 * KEYS
        sums = tops + 4 * rows
        factors = sums + 4 * rows
        call = factors + 4 * rows
        store_i64(call, values)
        k += group * k_row
        v += group * v_row
        _clear(queries, width * rows)
        _clear(mixed, depth * rows)
        farthest, lowest = -1, 1 << 31
        for row in range(count):
            token, head = start + row // shared, group * shared + row % shared
            at = q + 4 * d * (token * heads + head)
            for column in range(d):
                store_f32(queries + 4 * (column * rows + row), load_f32(at + 4 * column))
            store_f32(tops + 4 * row, NOTHING)
            store_f32(sums + 4 * row, 0.0)
            if sinks != 0:
                store_f32(tops + 4 * row, load_f32(sinks + 4 * head))
                store_f32(sums + 4 * row, 1.0)
            farthest = most(farthest, load_i32(reach + 4 * token))
            lowest = least(lowest, most(-1, load_i32(positions + 4 * token) - window))
        for row in range(count, rows):
            store_f32(factors + 4 * row, 0.0)
            _clear(scores + 4 * KEYS * row, KEYS)
        for begin in range(0, length, KEYS):
            present = least(KEYS, length - begin)
            _find_cells(numbers, pages, page, begin, present)
            visible = 0
            for j in range(KEYS):
                position = -1
                if j < present:
                    position = load_i32(cell_positions + 4 * load_i32(numbers + 4 * j))
                store_u32(seen_at + 4 * j, position)
                if position > lowest and position <= farthest:
                    visible = 1
            if visible == 0:
                continue
            # the values of these keys, while scores are computed
            _fetch(v, groups * v_row, v_row, numbers, present)
            store_i64(call + 8, 4 * width)
            store_i64(call + 24, groups * k_row)
            store_i64(call + 40, d)
            for first in range(0, KEYS, 16):
                here = most(0, least(16, present - first))
                _clear(values + 4 * width * here, width * (16 - here))
                _read(reader, call, k, numbers + 4 * first, here, thread)
                turn_keys(turned, values, width, first)
            for first in range(0, rows, tile):
                for j in range(0, KEYS, 32):
                    totals = copies(repeat_float(0.0), registers)
                    at, number = turned + 4 * j, queries + 4 * first
                    for _ in range(d):
                        totals = score_step(totals, at, number)
                        at += 4 * KEYS
                        number += 4 * rows
                    put_rows(scores + 4 * (KEYS * first + j), 4 * KEYS, totals)
            after = most(0, least(KEYS, length - begin - KEYS))
            if after > 0:
                _find_cells(following, pages, page, begin + KEYS, after)
                _fetch(k, groups * k_row, k_row, following, after)
            for row in range(count):
                token, head = start + row // shared, group * shared + row % shared
                here = load_i32(positions + 4 * token)
                slope = np.float32(0)
                if slopes != 0:
                    slope = load_f32(slopes + 4 * head)
                extra = 0
                if bias != 0:
                    extra = bias + 4 * ((token * heads + head) * cells + begin)
                factor, total = softmax_row(
                    scores + 4 * KEYS * row,
                    seen_at,
                    tops + 4 * row,
                    load_i32(reach + 4 * token),
                    most(-1, here - window),
                    here,
                    scale,
                    softcap,
                    slope,
                    extra,
                    cells - begin,
                )
                store_f32(factors + 4 * row, factor)
                store_f32(sums + 4 * row, load_f32(sums + 4 * row) * factor + total)
            store_i64(call + 8, 4 * depth)
            store_i64(call + 24, groups * v_row)
            store_i64(call + 40, e)
            _read(reader, call, v, numbers, present, thread)
            for first in range(0, rows, tile):
                for column in range(0, depth, 32):
                    there = mixed + 4 * (depth * first + column)
                    totals = load_rows(there, 4 * depth, factors + 4 * first)
                    at, number = values + 4 * column, scores + 4 * KEYS * first
                    for _ in range(present):
                        totals = mix_step(totals, at, number)
                        at += 4 * depth
                        number += 4
                    put_rows(there, 4 * depth, totals)
        for row in range(count):
            token, head = start + row // shared, group * shared + row % shared
            at, there = mixed + 4 * depth * row, out + 4 * e * (token * heads + head)
            total = load_f32(sums + 4 * row)
            by = np.float32(0) if total == 0 else np.float32(1) / total
            for column in range(0, e, 16):
                value = load_floats16(at + 4 * column) * by
                store_first(there + 4 * column, value, least(16, e - column))

    @kernel(f"attend_{tile}")
    def attend(
        out,
        reader,
        q,
        k,
        v,
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
        tokens,
        together,
        heads,
        groups,
        d,
        e,
        k_row,
        v_row,
        room,
        room_size,
        first,
        last,
        thread,
    ):
        scale, softcap = float_of(scale), float_of(softcap)
        room += thread * room_size
        for piece in range(first, last):
            group = piece % groups
            start = piece // groups * together
            end = least(tokens, start + together)
            while start < end:
                sequence = load_i32(sequences + 4 * start)
                stop = start + 1
                while stop < end and load_i32(sequences + 4 * stop) == sequence:
                    stop += 1
                length = 0
                if sequence >= 0:
                    length = load_i32(lengths + 4 * sequence)
                attend_run(
                    thread,
                    reader,
                    out,
                    q,
                    k,
                    v,
                    sinks,
                    slopes,
                    bias,
                    cell_positions,
                    pages + 4 * page_count * sequence,
                    positions,
                    reach,
                    start,
                    stop - start,
                    length,
                    group,
                    page,
                    page * page_count,
                    scale,
                    window,
                    softcap,
                    heads,
                    groups,
                    d,
                    e,
                    k_row,
                    v_row,
                    room,
                )
                start = stop

    return attend


# ---- on a tape


def _attend(format_name: str) -> Callable[..., None]:
    def put(
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
        *,
        page: int,
        scale: float,
        window: int | None = None,
        softcap: float | None = None,
    ) -> None:
        k, v = rows_of(k), rows_of(v)
        (tokens, heads, d), e, groups = q.shape, out.shape[2], k.shape[1]
        shared = heads // groups
        together = max(1, min(tokens, ROWS // shared))
        tile = next((n for n in TILES if n >= together * shared), TILES[-1])
        rows = -(-together * shared // tile) * tile
        width, depth = -(-d // 16) * 16, -(-e // 32) * 32
        room_size = rows * (width + depth + KEYS + 3) + KEYS * (width + depth + 3) + 16 * width + 16
        room_size = -(-4 * room_size // 64) * 64
        optional = (0 if each is None else each for each in (sinks, slopes, bias))
        tape.add(
            attention(tile),
            -(-tokens // together) * groups,
            1,
            out,
            reader(format_name).address,
            q,
            k,
            v,
            positions,
            reach,
            sequences,
            cell_positions,
            pages,
            lengths,
            *optional,
            page,
            pages.shape[1],
            np.float32(scale),
            1 << 31 if window is None else window,
            np.float32(softcap or 0),
            tokens,
            together,
            heads,
            groups,
            d,
            e,
            k.strides[1],
            v.strides[1],
            tape.room(room_size),
            room_size,
        )

    return put


KERNELS: dict[str, Callable[..., None]] = {
    "attend": _attend("F32"),
    **{f"attend.{name}.{name}": _attend(name) for name in READ if name != "F32"},
}
