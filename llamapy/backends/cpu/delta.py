# mypy: check-untyped-defs=False
"""The gated delta rule: a piece is 32 columns of a head's state in one sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .conv import load_columns
from .functions import exponential
from .kernel import device, kernel
from .simd import least, load_f32, load_i32, repeat_float, store
from .tape import Tape
from .wkv import ROW, WIDTH, advance, load_pair, load_state, store_pair, store_state, weighted_rows


@device
def _fades(fades, faded_keys, rate, rates, k, d):
    """How much of each row is left, of one rate or d, and that times the key."""
    same = exponential(repeat_float(load_f32(rate)))
    for j in range(0, d, 16):
        n = least(16, d - j)
        fade = same
        if rates > 1:
            fade = exponential(load_columns(rate + 4 * j, n))
        store(fades + 4 * j, fade)
        store(faded_keys + 4 * j, fade * load_columns(k + 4 * j, n))


@kernel("delta_rule")
def learn(
    out,
    q,
    k,
    v,
    rate,
    beta,
    states,
    read,
    write,
    sequences,
    tokens,
    heads,
    d,
    e,
    rates,
    room,
    room_size,
    first,
    last,
    thread,
):
    """Over sequences, heads and blocks of columns; a thread has room for their state."""
    width, blocks = (d + 15) // 16 * 16, (e + WIDTH - 1) // WIDTH
    fades = room + thread * room_size
    faded_keys, state = fades + 4 * width, fades + 8 * width
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
            key = k + 4 * d * here
            _fades(fades, faded_keys, rate + 4 * rates * here, rates, key, d)
            known_low, known_high = weighted_rows(state, faded_keys, d)
            low, high = load_pair(v + 4 * (e * here + column), count)
            share = load_f32(beta + 4 * here)
            low, high = (low - known_low) * share, (high - known_high) * share
            low, high = advance(state, fades, key, low, high, q + 4 * d * here, d)
            store_pair(there, low, high, count)
            slot = load_i32(write + 4 * t)
            if slot >= 0:
                store_state(state, states, slot, head, heads, d, e, column, count)


def put_delta_rule(
    tape: Tape,
    out: Any,
    q: Any,
    k: Any,
    v: Any,
    rate: Any,
    beta: Any,
    states: Any,
    read: Any,
    write: Any,
    sequences: Any,
) -> None:
    tokens, heads, d = q.shape
    e = v.shape[2]
    room_size = ROW * d + 8 * (-(-d // 16) * 16)
    tape.add(
        learn,
        len(read) * heads * -(-e // WIDTH),
        1,
        *(out, q, k, v, rate, beta, states, read, write, sequences),
        *(tokens, heads, d, e, rate.shape[2], tape.room(room_size), room_size),
    )


KERNELS: dict[str, Callable[..., None]] = {"delta_rule": put_delta_rule}
