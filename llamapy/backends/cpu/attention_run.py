# mypy: check-untyped-defs=False
"""Attention of a run: some tokens of one sequence, and the heads that share one key head.

Their queries are the rows of a small matrix. Keys come in blocks, scores in registers of 16 keys,
and a softmax that is corrected as larger scores appear. Blocks make up parts of fixed length, whose
results are folded together in order: so parts may be computed by several threads, and a row's bits
depend neither on that nor on the rows beside it.
"""

from __future__ import annotations

import numpy as np

from .attention_blocks import SEEN_BY_ALL, UNSEEN
from .attention_queries import clear, loader, scorer, unit_of_row
from .attention_rows import (
    KEYS,
    LOG2_E,
    NOTHING,
    fold,
)
from .attention_steps import VALUES, fetch, mix_step, tile_from, tile_to
from .cells import TILE
from .elementwise import float_of
from .kernel import Kernel, device, kernel, once
from .layouts import UNIT
from .simd import (
    least,
    load_f32,
    load_floats16,
    load_i32,
    load_i64,
    most,
    reduce_add,
    repeat_float,
    store,
    store_f32,
    store_first,
    store_i64,
)
from .tape import call_kernel

PART = 1024  # keys whose result is one number of folds on
STATE = 64  # bytes before the mixed values of a state: its largest score, its sum
# where in the room the arguments of kernels are that a run calls: readers, and these two
FIND, SHARES, CALLS = 128, 256, 512
ROOM, F32 = "room", "F32"


@device
def begin_state(at, top, total, depth):
    """A state that has seen nothing yet, or a sink."""
    clear(at, STATE + 4 * depth)
    store_f32(at, top)
    store_f32(at + 4, total)


@device
def put_find(at, found, numbers, seen, cell_positions, pages, page, lowest, farthest, low, near):
    """The arguments of `find_block`."""
    store_i64(at, found)
    store_i64(at + 8, numbers)
    store_i64(at + 16, seen)
    store_i64(at + 24, cell_positions)
    store_i64(at + 32, pages)
    store_i64(at + 40, page)
    store_i64(at + 48, lowest)
    store_i64(at + 56, farthest)
    store_i64(at + 64, low)
    store_i64(at + 72, near)


@device
def put_shares(
    at,
    scores,
    seen,
    tops,
    factors,
    sums,
    token,
    head,
    shared,
    heads,
    positions,
    reach,
    window,
    softcap,
    slopes,
    bias,
    cells,
    lack,
):
    """The arguments of `take_shares`, behind the two that change."""
    store_i64(at + 16, scores)
    store_i64(at + 24, seen)
    store_i64(at + 32, tops)
    store_i64(at + 40, factors)
    store_i64(at + 48, sums)
    store_i64(at + 56, token)
    store_i64(at + 64, head)
    store_i64(at + 72, shared)
    store_i64(at + 80, heads)
    store_i64(at + 88, positions)
    store_i64(at + 96, reach)
    store_i64(at + 104, window)
    store_i64(at + 112, softcap)
    store_i64(at + 120, slopes)
    store_i64(at + 128, bias)
    store_i64(at + 136, cells)
    store_i64(at + 144, lack)


@once
def run_kernel(keys: str, values: str, tile: int) -> Kernel:
    """The kernel, over the tokens of a run; `tile` rows are in registers at once.

    Keys and values are met as they lie, in these formats, or in the kernel's room, where readers
    bring them as F32.
    """
    keys_in_room, values_in_room = keys == ROOM, values == ROOM
    met_keys, met_values = (F32 if each == ROOM else each for each in (keys, values))
    load_queries, score = loader(met_keys, tile), scorer(met_keys, tile, not keys_in_room)
    query_unit, mix = unit_of_row(met_keys), mix_step(met_values, tile, 4 * KEYS)
    load_tile, put_tile = tile_from(tile), tile_to(tile)
    column_bytes = VALUES[met_values][1]
    fetched = 0 if values_in_room else column_bytes

    @kernel(f"attend_{keys}_{values}_{tile}")
    def run(
        room,
        group,
        part_first,
        part_last,
        out,
        partial,
        part_count,
        q,
        k,
        v,
        read_keys,
        read_values,
        sinks,
        slopes,
        bias,
        cell_positions,
        pages,
        lengths,
        sequences,
        positions,
        reach,
        page,
        page_count,
        find,
        take_shares,
        factor,
        lack,
        window,
        softcap,
        heads,
        groups,
        d,
        e,
        k_tile,
        k_cell,
        k_group,
        v_tile,
        v_cell,
        v_group,
        first,
        last,
        thread,
    ):
        factor = float_of(factor)
        shared = heads // groups
        count = (last - first) * shared
        rows = (count + tile - 1) // tile * tile
        width, depth = (d + 15) // 16 * 16, (e + 31) // 32 * 32
        state_size = STATE + 4 * depth
        queries = room + CALLS
        states = queries + (rows * width // UNIT * query_unit + 63) // 64 * 64  # of parts so far
        mixed = states + rows * state_size  # of this part
        scores = mixed + 4 * depth * rows  # [rows, KEYS]
        turned = scores + 4 * KEYS * rows  # [2, width, 16]: 32 keys
        values_at = turned + 4 * TILE * width  # [KEYS, depth]; of keys, 16 at a time
        seen = values_at + 4 * KEYS * depth + 64 * width
        numbers = seen + 4 * KEYS
        padded = (rows + 15) // 16 * 16
        tops = numbers + 8 * KEYS  # of this block's cells and the next one's
        factors = tops + 4 * padded
        sums = factors + 4 * padded  # [rows, 16]
        k += group * k_group
        v += group * v_group
        sequence = load_i32(sequences + 4 * first)
        length = 0
        if sequence >= 0:
            length = load_i32(lengths + 4 * sequence)
            pages += 4 * page_count * sequence
        head = group * shared
        load_queries(queries, room, q, first, count, rows, heads, head, shared, d, width, factor)
        # the farthest and the lowest position that a row sees, and those that all of them see
        farthest, lowest, near, low = -1, 1 << 31, 1 << 31, -1
        for row in range(count):
            token = first + row // shared
            until = load_i32(reach + 4 * token)
            after = most(-1, load_i32(positions + 4 * token) - window)
            farthest, lowest = most(farthest, until), least(lowest, after)
            near, low = least(near, until), most(low, after)
            if sinks != 0:
                sink = load_f32(sinks + 4 * (head + row % shared)) * np.float32(LOG2_E)
                begin_state(states + row * state_size, sink, np.float32(1), depth)
            else:
                begin_state(states + row * state_size, np.float32(NOTHING), np.float32(0), depth)
        put_find(
            room + FIND,
            room,
            numbers,
            seen,
            cell_positions,
            pages,
            page,
            lowest,
            farthest,
            low,
            near,
        )
        put_shares(
            room + SHARES,
            scores,
            seen,
            tops,
            factors,
            sums,
            first,
            head,
            shared,
            heads,
            positions,
            reach,
            window,
            softcap,
            slopes,
            bias,
            page * page_count,
            lack,
        )
        for part in range(part_first, least(part_last, (length + PART - 1) // PART)):
            for at in range(0, padded, 16):
                store(tops + 4 * at, repeat_float(NOTHING))
                store(factors + 4 * at, repeat_float(NOTHING))
            clear(sums, 64 * rows)
            clear(mixed, 4 * depth * rows)
            for begin in range(part * PART, least(length, (part + 1) * PART), KEYS):
                present = least(KEYS, length - begin)
                call_kernel(find, room + FIND, begin, length, thread)
                found = load_i64(room)
                if found == UNSEEN:
                    continue
                for j in range(0, present, TILE):
                    number = load_i32(numbers + 4 * j)
                    at = k + number // TILE * k_tile
                    half = 16 * k_cell
                    if keys_in_room:
                        store_i64(room, turned)
                        store_i64(room + 8, values_at)
                        store_i64(room + 16, k)
                        store_i64(room + 24, k_tile)
                        store_i64(room + 32, k_cell)
                        store_i64(room + 40, numbers + 4 * j)
                        store_i64(room + 48, d)
                        store_i64(room + 56, width)
                        call_kernel(read_keys, room, 0, 2, thread)
                        at, half = turned, 64 * width
                    for row in range(0, rows, tile):
                        score(
                            scores + 4 * (KEYS * row + j),
                            at,
                            half,
                            queries + row * width // UNIT * query_unit,
                            d,
                            v + number // TILE * v_tile,
                        )
                store_i64(room + SHARES, begin)
                store_i64(room + SHARES + 8, found == SEEN_BY_ALL)
                call_kernel(take_shares, room + SHARES, 0, count, thread)
                if values_in_room:
                    store_i64(room, values_at)
                    store_i64(room + 8, 4 * depth)
                    store_i64(room + 16, v)
                    store_i64(room + 24, v_tile)
                    store_i64(room + 32, v_cell)
                    store_i64(room + 40, numbers)
                    store_i64(room + 48, e)
                    call_kernel(read_values, room, 0, present, thread)
                for row in range(0, rows, tile):
                    for column in range(0, depth, 32):
                        there = mixed + 4 * (depth * row + column)
                        totals = load_tile(there, 4 * depth, factors + 4 * row)
                        share = scores + 4 * KEYS * row
                        for j in range(0, present, TILE):
                            if values_in_room:
                                at, step = values_at + 4 * depth * j, 4 * depth
                            else:
                                number = load_i32(numbers + 4 * j)
                                at, step = v + number // TILE * v_tile, v_cell
                            at += column // 32 * column_bytes
                            ahead = load_i32(numbers + 4 * (KEYS + j)) // TILE * k_tile + k
                            ahead += column * fetched
                            for _ in range(least(TILE, present - j)):
                                for line in range(0, fetched, 64):
                                    fetch(ahead + line)
                                ahead += fetched
                                totals = mix(totals, at, share)
                                at += step
                                share += 4
                        put_tile(there, 4 * depth, totals)
            for row in range(count):
                token, head = first + row // shared, group * shared + row % shared
                there = values_at
                if partial != 0:
                    index = (token * heads + head) * part_count + part
                    there = partial + index * state_size
                store_f32(there, load_f32(tops + 4 * row))
                store_f32(there + 4, reduce_add(load_floats16(sums + 64 * row)))
                for column in range(0, depth, 16):
                    value = load_floats16(mixed + 4 * (depth * row + column))
                    store(there + STATE + 4 * column, value)
                if partial == 0:
                    fold(states + row * state_size, there, depth)
        if partial == 0:
            for row in range(count):
                token, head = first + row // shared, group * shared + row % shared
                finish(out + 4 * e * (token * heads + head), states + row * state_size, e)

    return run


@device
def finish(out, state, e):
    """The mean that a state has come to."""
    total = load_f32(state + 4)
    by = np.float32(0) if total == 0 else np.float32(1) / total
    for column in range(0, e, 16):
        value = load_floats16(state + STATE + 4 * column) * by
        store_first(out + 4 * column, value, least(16, e - column))


@kernel("fold_attention")
def fold_parts(
    out,
    partial,
    part_count,
    sequences,
    lengths,
    sinks,
    heads,
    e,
    room,
    room_size,
    first,
    last,
    thread,
):
    """The parts of each row, folded together, over rows."""
    depth = (e + 31) // 32 * 32
    state, state_size = room + thread * room_size, STATE + 4 * depth
    for row in range(first, last):
        if sinks != 0:
            sink = load_f32(sinks + 4 * (row % heads)) * np.float32(LOG2_E)
            begin_state(state, sink, np.float32(1), depth)
        else:
            begin_state(state, np.float32(NOTHING), np.float32(0), depth)
        sequence = load_i32(sequences + 4 * (row // heads))
        if sequence >= 0:
            length = load_i32(lengths + 4 * sequence)
            for part in range((length + PART - 1) // PART):
                fold(state, partial + (row * part_count + part) * state_size, depth)
        finish(out + 4 * e * row, state, e)


def state_bytes(e: int) -> int:
    """Of a row's largest score, its sum, and its mixed values."""
    return STATE + 4 * (-(-e // 32) * 32)


def room_bytes(rows: int, d: int, e: int) -> int:
    """What a thread works in."""
    width, depth, padded = -(-d // 16) * 16, -(-e // 32) * 32, -(-rows // 16) * 16
    per_row = 4 * width + STATE + 4 * depth + 4 * depth + 4 * KEYS + 64
    per_key = 4 * TILE * width + 4 * KEYS * depth + 64 * width + 12 * KEYS
    return CALLS + rows * per_row + per_key + 8 * padded + 64
