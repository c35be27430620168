# mypy: check-untyped-defs=False
"""Selective state spaces: a piece is a head of a sequence, whose state stays near for all tokens.

Where a head is a single column, sixteen of them are a piece, so that tokens are read in lines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .conv import load_columns, store_columns
from .functions import exponential, softened_step
from .kernel import device, kernel
from .simd import (
    fma,
    least,
    load_f32,
    load_first_floats,
    load_floats16,
    load_i32,
    reduce_add,
    repeat_float,
    store,
    store_f32,
    store_first,
)
from .store import move
from .tape import Tape


@device
def _clear(at, count):
    for i in range(count):
        store_f32(at + 4 * i, 0.0)


@device
def _load_state(state, states, slot, start, count):
    """So many numbers of the slot's state, from the start-th on; zeros if there is no slot."""
    if slot >= 0:
        move(state, states + 4 * start, 4 * count)
    else:
        _clear(state, count)


@device
def _step(state, fades, b, c, q, taken):
    """One row of a state, a token further on; returns what is read out of it."""
    whole = q // 16 * 16
    total = repeat_float(0.0)
    for k in range(0, 4 * whole, 64):
        new = fma(load_floats16(state + k), load_floats16(fades + k), taken * load_floats16(b + k))
        store(state + k, new)
        total = fma(new, load_floats16(c + k), total)
    if whole < q:
        k, rest = 4 * whole, q - whole
        new = load_first_floats(b + k, rest) * taken
        new = fma(load_first_floats(state + k, rest), load_floats16(fades + k), new)
        store_first(state + k, new, rest)
        total = fma(new, load_first_floats(c + k, rest), total)
    return reduce_add(total)


@kernel("ssm_scan_heads")
def scan_heads(
    out,
    x,
    dt,
    a,
    b,
    c,
    skip,
    states,
    read,
    write,
    sequences,
    tokens,
    heads,
    d,
    groups,
    q,
    rates,
    room,
    room_size,
    first,
    last,
    thread,
):
    """Over sequences and their heads; a thread has room for d + 1 rows of a state."""
    fades = room + thread * room_size
    width = (q + 15) // 16 * 16
    state = fades + 4 * width
    size = d * q
    for piece in range(first, last):
        sequence, head = piece // heads, piece % heads
        group = head // (heads // groups)
        slot = load_i32(read + 4 * sequence)
        _load_state(state, states, slot, (slot * heads + head) * size, size)
        direct = load_f32(skip + 4 * head)
        for t in range(tokens):
            owner = load_i32(sequences + 4 * t)
            here = 4 * d * (heads * t + head)
            if owner < 0 and sequence == 0:
                _clear(out + here, d)
            if owner != sequence:
                continue
            time = softened_step(repeat_float(load_f32(dt + 4 * (heads * t + head))))
            if rates == 1:
                fade = exponential(time * load_f32(a + 4 * head))
                for k in range(0, width, 16):
                    store(fades + 4 * k, fade)
            else:
                for k in range(0, q, 16):
                    rate = load_columns(a + 4 * (q * head + k), least(16, q - k))
                    store(fades + 4 * k, exponential(time * rate))
            shared = 4 * q * (groups * t + group)
            for i in range(d):
                value = load_f32(x + here + 4 * i)
                taken = time * value
                total = _step(state + 4 * q * i, fades, b + shared, c + shared, q, taken)
                store_f32(out + here + 4 * i, total + value * direct)
            slot = load_i32(write + 4 * t)
            if slot >= 0:
                move(states + 4 * (slot * heads + head) * size, state, 4 * size)


@kernel("ssm_scan_columns")
def scan_columns(
    out,
    x,
    dt,
    a,
    b,
    c,
    skip,
    states,
    read,
    write,
    sequences,
    tokens,
    heads,
    groups,
    q,
    blocks,
    room,
    room_size,
    first,
    last,
    thread,
):
    """Over sequences and blocks of 16 heads of one column, each value with a rate of its own.

    A thread has room for 16 states, and 3 times 16 numbers.
    """
    times = room + thread * room_size
    takes, sums, state = times + 64, times + 128, times + 192
    shared_by = heads // groups
    for piece in range(first, last):
        sequence, head = piece // blocks, 16 * (piece % blocks)
        count = least(16, heads - head)
        slot = load_i32(read + 4 * sequence)
        _load_state(state, states, slot, (slot * heads + head) * q, count * q)
        direct = load_columns(skip + 4 * head, count)
        for t in range(tokens):
            owner = load_i32(sequences + 4 * t)
            here = 4 * (heads * t + head)
            if owner < 0 and sequence == 0:
                store_columns(out + here, repeat_float(0.0), count)
            if owner != sequence:
                continue
            value = load_columns(x + here, count)
            time = softened_step(load_columns(dt + here, count))
            store(times, time)
            store(takes, time * value)
            for j in range(count):
                time, taken = load_f32(times + 4 * j), load_f32(takes + 4 * j)
                shared = 4 * q * (groups * t + (head + j) // shared_by)
                rates, at = a + 4 * q * (head + j), state + 4 * q * j
                total = repeat_float(0.0)
                for k in range(0, q, 16):
                    n = least(16, q - k)
                    fade = exponential(load_columns(rates + 4 * k, n) * time)
                    new = load_columns(b + shared + 4 * k, n) * taken
                    new = fma(load_columns(at + 4 * k, n), fade, new)
                    store_columns(at + 4 * k, new, n)
                    total = fma(new, load_columns(c + shared + 4 * k, n), total)
                store_f32(sums + 4 * j, reduce_add(total))
            store_columns(out + here, fma(value, direct, load_floats16(sums)), count)
            slot = load_i32(write + 4 * t)
            if slot >= 0:
                move(states + 4 * (slot * heads + head) * q, state, 4 * count * q)


def put_ssm_scan(
    tape: Tape,
    out: Any,
    x: Any,
    dt: Any,
    a: Any,
    b: Any,
    c: Any,
    skip: Any,
    states: Any,
    read: Any,
    write: Any,
    sequences: Any,
) -> None:
    tokens, heads, d = x.shape
    groups, q = b.shape[1:]
    operands = out, x, dt, a, b, c, skip, states, read, write, sequences
    if d == 1 and a.shape[1] == q:
        blocks = -(-heads // 16)
        room_size = 64 * (q + 3)
        sizes = [tokens, heads, groups, q, blocks, tape.room(room_size), room_size]
        tape.add(scan_columns, len(read) * blocks, 1, *operands, *sizes)
    else:
        room_size = 64 * -(-(d * q + q + 15) // 16)
        sizes = [tokens, heads, d, groups, q, a.shape[1], tape.room(room_size), room_size]
        tape.add(scan_heads, len(read) * heads, 1, *operands, *sizes)


KERNELS: dict[str, Callable[..., None]] = {"ssm_scan": put_ssm_scan}
