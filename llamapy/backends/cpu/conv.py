# mypy: check-untyped-defs=False
"""Convolutions along tokens: sixteen columns at a time, with a window that moves on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .elementwise import PIECE
from .kernel import device, kernel
from .simd import (
    fma,
    least,
    load_f32,
    load_first_floats,
    load_floats16,
    load_i32,
    repeat_float,
    store,
    store_f32,
    store_first,
)
from .tape import Tape


@device
def load_columns(at, count):
    """Sixteen numbers, or the `count` that there are, and zeros."""
    return load_floats16(at) if count == 16 else load_first_floats(at, count)


@device
def store_columns(at, value, count):
    """Sixteen numbers, or the first `count`."""
    if count == 16:
        store(at, value)
    else:
        store_first(at, value, count)


@device
def _turned_weights(room, w, b, column, count, k):
    """The weights of some columns, one token's side by side, and then their biases."""
    for i in range(k + 1):
        store(room + 64 * i, repeat_float(0.0))
    for j in range(count):
        for i in range(k):
            store_f32(room + 64 * i + 4 * j, load_f32(w + 4 * ((column + j) * k + i)))
        if b != 0:
            store_f32(room + 64 * k + 4 * j, load_f32(b + 4 * (column + j)))


@kernel("causal_conv")
def causal_conv(
    out,
    x,
    w,
    b,
    states,
    read,
    write,
    sequences,
    tokens,
    columns,
    k,
    blocks,
    room,
    room_size,
    first,
    last,
    thread,
):
    """Over sequences and blocks of 16 columns; a thread has room for 2 * k + 1 times 64 bytes."""
    weights = room + thread * room_size
    window = weights + 64 * (k + 1)  # what came last, the oldest first
    state_bytes = 4 * columns * (k - 1)
    for piece in range(first, last):
        sequence, column = piece // blocks, 16 * (piece % blocks)
        count = least(16, columns - column)
        _turned_weights(weights, w, b, column, count, k)
        slot = load_i32(read + 4 * sequence)
        for i in range(k - 1):
            value = repeat_float(0.0)
            if slot >= 0:
                at = states + state_bytes * slot + 4 * (columns * i + column)
                value = load_columns(at, count)
            store(window + 64 * i, value)
        for t in range(tokens):
            at = 4 * (columns * t + column)
            owner = load_i32(sequences + 4 * t)
            if owner < 0 and sequence == 0:
                store_columns(out + at, repeat_float(0.0), count)
            if owner != sequence:
                continue
            store(window + 64 * (k - 1), load_columns(x + at, count))
            total = repeat_float(0.0)
            for i in range(k):
                total = fma(load_floats16(window + 64 * i), load_floats16(weights + 64 * i), total)
            store_columns(out + at, total + load_floats16(weights + 64 * k), count)
            slot = load_i32(write + 4 * t)
            for i in range(k - 1):
                value = load_floats16(window + 64 * (i + 1))
                store(window + 64 * i, value)
                if slot >= 0:
                    at = states + state_bytes * slot + 4 * (columns * i + column)
                    store_columns(at, value, count)


def put_causal_conv(
    tape: Tape,
    out: Any,
    x: Any,
    w: Any,
    b: Any,
    states: Any,
    read: Any,
    write: Any,
    sequences: Any,
) -> None:
    (tokens, columns), k = x.shape, w.shape[1]
    blocks = -(-columns // 16)
    room_size = 64 * (2 * k + 1)
    tape.add(
        causal_conv,
        len(read) * blocks,
        max(1, PIECE // (16 * max(1, tokens))),
        out,
        x,
        w,
        0 if b is None else b,
        states,
        read,
        write,
        sequences,
        tokens,
        columns,
        k,
        blocks,
        tape.room(room_size),
        room_size,
    )


KERNELS: dict[str, Callable[..., None]] = {"causal_conv": put_causal_conv}
