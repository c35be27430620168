# mypy: check-untyped-defs=False
"""Recurrences whose state is a matrix for each head: RWKV's, and linear attention.

A piece is 32 columns of a head's state in one sequence, which stay near for all its tokens: two
registers to a row. No sum crosses columns, so that a token's bits are the same in whatever batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .conv import load_columns, store_columns
from .elementwise import PIECE
from .kernel import Kernel, device, kernel, once
from .simd import (
    fma,
    least,
    load_f32,
    load_floats16,
    load_i32,
    reduce_add,
    repeat_float,
    store,
)
from .store import move
from .tape import Tape

WIDTH = 32  # columns of a piece
ROW = 4 * WIDTH  # bytes


@device
def load_pair(at, count):
    """32 numbers, or the `count` that there are, and zeros."""
    return load_columns(at, least(16, count)), load_columns(at + 64, least(16, count - 16))


@device
def store_pair(at, low, high, count):
    """32 numbers, or the first `count`."""
    store_columns(at, low, least(16, count))
    store_columns(at + 64, high, least(16, count - 16))


@device
def weighted_rows(state, by, d):
    """The sum of d rows, each times its number."""
    low, high = repeat_float(0.0), repeat_float(0.0)
    other_low, other_high = repeat_float(0.0), repeat_float(0.0)
    for j in range(0, d - 1, 2):
        at, number = state + ROW * j, repeat_float(load_f32(by + 4 * j))
        low = fma(load_floats16(at), number, low)
        high = fma(load_floats16(at + 64), number, high)
        number = repeat_float(load_f32(by + 4 * j + 4))
        other_low = fma(load_floats16(at + ROW), number, other_low)
        other_high = fma(load_floats16(at + ROW + 64), number, other_high)
    if d % 2:
        at, number = state + ROW * (d - 1), repeat_float(load_f32(by + 4 * d - 4))
        low = fma(load_floats16(at), number, low)
        high = fma(load_floats16(at + 64), number, high)
    return low + other_low, high + other_high


@device
def _next_row(state, fade, k, low, high, j):
    """A row fades, and takes the values in, as the key says."""
    left, key = repeat_float(load_f32(fade + 4 * j)), load_f32(k + 4 * j)
    at = state + ROW * j
    new_low = fma(load_floats16(at), left, low * key)
    new_high = fma(load_floats16(at + 64), left, high * key)
    store(at, new_low)
    store(at + 64, new_high)
    return new_low, new_high


@device
def advance(state, fade, k, low, high, q, d):
    """Rows fade and take the values in; then they are read, as the query says."""
    total_low, total_high = repeat_float(0.0), repeat_float(0.0)
    other_low, other_high = repeat_float(0.0), repeat_float(0.0)
    for j in range(0, d - 1, 2):
        new_low, new_high = _next_row(state, fade, k, low, high, j)
        number = repeat_float(load_f32(q + 4 * j))
        total_low, total_high = fma(new_low, number, total_low), fma(new_high, number, total_high)
        new_low, new_high = _next_row(state, fade, k, low, high, j + 1)
        number = repeat_float(load_f32(q + 4 * j + 4))
        other_low, other_high = fma(new_low, number, other_low), fma(new_high, number, other_high)
    if d % 2:
        new_low, new_high = _next_row(state, fade, k, low, high, d - 1)
        number = repeat_float(load_f32(q + 4 * d - 4))
        total_low, total_high = fma(new_low, number, total_low), fma(new_high, number, total_high)
    return total_low + other_low, total_high + other_high


# ---- what a token does to a state, and what is read


@device
def linear_attention(state, q, k, fade, a, b, low, high, d):
    return advance(state, fade, k, low, high, q, d)


@device
def wkv6(state, r, k, fade, first, b, low, high, d):
    own = repeat_float(0.0)
    for j in range(0, d, 16):
        n = least(16, d - j)
        key = load_columns(k + 4 * j, n) * load_columns(first + 4 * j, n)
        own = fma(load_columns(r + 4 * j, n), key, own)
    total_low, total_high = weighted_rows(state, r, d)
    for j in range(d):
        _next_row(state, fade, k, low, high, j)
    number = repeat_float(reduce_add(own))
    return fma(low, number, total_low), fma(high, number, total_high)


@device
def wkv7(state, r, k, fade, a, b, low, high, d):
    back_low, back_high = weighted_rows(state, a, d)
    total_low, total_high = repeat_float(0.0), repeat_float(0.0)
    for j in range(d):
        at, key = state + ROW * j, load_f32(k + 4 * j)
        number, left = repeat_float(load_f32(b + 4 * j)), repeat_float(load_f32(fade + 4 * j))
        new_low = fma(load_floats16(at), left, fma(back_low, number, low * key))
        new_high = fma(load_floats16(at + 64), left, fma(back_high, number, high * key))
        store(at, new_low)
        store(at + 64, new_high)
        number = repeat_float(load_f32(r + 4 * j))
        total_low, total_high = fma(new_low, number, total_low), fma(new_high, number, total_high)
    return total_low, total_high


STEPS: dict[str, Any] = {"linear_attention": linear_attention, "wkv6": wkv6, "wkv7": wkv7}


# ---- kernels


@device
def load_state(state, states, slot, head, heads, d, e, column, count):
    """Some columns of a head's state; zeros if there is no slot."""
    at = states + 4 * ((slot * heads + head) * d * e + column)
    for j in range(d):
        low, high = repeat_float(0.0), repeat_float(0.0)
        if slot >= 0:
            low, high = load_pair(at + 4 * e * j, count)
        store(state + ROW * j, low)
        store(state + ROW * j + 64, high)


@device
def store_state(state, states, slot, head, heads, d, e, column, count):
    at = states + 4 * ((slot * heads + head) * d * e + column)
    for j in range(d):
        row = state + ROW * j
        store_pair(at + 4 * e * j, load_floats16(row), load_floats16(row + 64), count)


@once
def recurrence(name: str) -> Kernel:
    """All tokens of a sequence, over sequences, heads and blocks of columns."""
    step = STEPS[name]

    @kernel(f"recurrence_{name}")
    def run(
        out,
        r,
        k,
        v,
        fade,
        a,
        a_token,
        b,
        states,
        read,
        write,
        sequences,
        tokens,
        heads,
        d,
        e,
        room,
        room_size,
        first,
        last,
        thread,
    ):
        state, blocks = room + thread * room_size, (e + WIDTH - 1) // WIDTH
        for piece in range(first, last):
            column, head = WIDTH * (piece % blocks), piece // blocks % heads
            sequence, count = piece // (blocks * heads), least(WIDTH, e - column)
            slot = load_i32(read + 4 * sequence)
            load_state(state, states, slot, head, heads, d, e, column, count)
            for t in range(tokens):
                owner, here = load_i32(sequences + 4 * t), heads * t + head
                there = out + 4 * (e * here + column)
                if owner < 0 and sequence == 0:
                    store_pair(there, repeat_float(0.0), repeat_float(0.0), count)
                if owner != sequence:
                    continue
                at = 4 * d * here
                low, high = load_pair(v + 4 * (e * here + column), count)
                a_at = a + a_token * t + 4 * d * head
                low, high = step(state, r + at, k + at, fade + at, a_at, b + at, low, high, d)
                store_pair(there, low, high, count)
                slot = load_i32(write + 4 * t)
                if slot >= 0:
                    store_state(state, states, slot, head, heads, d, e, column, count)

    return run


@kernel("token_before")
def before(out, x, states, read, write, sequences, columns, first, last, thread):
    """Each token's row becomes that of the one before it in its sequence."""
    size = 4 * columns
    for t in range(first, last):
        owner, there = load_i32(sequences + 4 * t), out + size * t
        found = t - 1
        while found >= 0 and load_i32(sequences + 4 * found) != owner:
            found -= 1
        slot = -1
        if owner >= 0:
            slot = load_i32(read + 4 * owner)
        if owner >= 0 and found >= 0:
            move(there, x + size * found, size)
        elif slot >= 0:
            move(there, states + size * slot, size)
        else:
            for k in range(0, columns, 16):
                store_columns(there + 4 * k, repeat_float(0.0), least(16, columns - k))
        slot = load_i32(write + 4 * t)
        if owner >= 0 and slot >= 0:
            move(states + size * slot, x + size * t, size)


@kernel("toward")
def blend(out, x, y, by, by_row, columns, first, last, thread):
    """x + (y - x) * by; rows of `by` are `by_row` bytes apart."""
    for row in range(first, last):
        at, shares = 4 * columns * row, by + by_row * row
        for k in range(0, columns, 16):
            n, here = least(16, columns - k), at + 4 * k
            start = load_columns(x + here, n)
            way = load_columns(y + here, n) - start
            store_columns(out + here, fma(way, load_columns(shares + 4 * k, n), start), n)


# ---- on a tape


def _put(name: str) -> Callable[..., None]:
    def put(tape: Tape, out: Any, r: Any, k: Any, v: Any, fade: Any, *rest: Any) -> None:
        *others, states, read, write, sequences = rest
        tokens, heads, d = r.shape
        e = v.shape[2]
        a, b = (*others, r, r)[:2]  # what a step has no use for may be anything
        a_token = 0 if name == "wkv6" else 4 * heads * d
        room_size = ROW * d
        tape.add(
            recurrence(name),
            len(read) * heads * -(-e // WIDTH),
            1,
            *(out, r, k, v, fade, a, a_token, b, states, read, write, sequences),
            *(tokens, heads, d, e, tape.room(room_size), room_size),
        )

    return put


def put_token_before(
    tape: Tape, out: Any, x: Any, states: Any, read: Any, write: Any, sequences: Any
) -> None:
    tokens, columns = x.shape
    grain = max(1, PIECE // max(1, columns))
    tape.add(before, tokens, grain, out, x, states, read, write, sequences, columns)


def put_toward(tape: Tape, out: Any, x: Any, y: Any, by: Any) -> None:
    rows, columns = x.shape
    grain = max(1, PIECE // max(1, columns))
    tape.add(blend, rows, grain, out, x, y, by, 4 * columns if by.ndim == 2 else 0, columns)


KERNELS: dict[str, Callable[..., None]] = {
    **{name: _put(name) for name in STEPS},
    "token_before": put_token_before,
    "toward": put_toward,
    "toward_columns": put_toward,
}
