# mypy: check-untyped-defs=False
"""Rotary positions: a token's angles once, and then all its heads turned by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import instructions as code
from .elementwise import PIECE, float_of
from .functions import turned
from .kernel import device, kernel
from .simd import (
    floats16,
    fma,
    load_f32,
    load_first_floats,
    load_floats16,
    load_i32,
    store,
    store_f32,
    store_first,
    word,
)
from .tape import Tape

swap_neighbours = word(
    "swap_neighbours",
    floats16,
    (floats16,),
    lambda b, v: code.shuffle(b, v, [k ^ 1 for k in range(16)]),
)


@device
def _cosines_and_sines(angles, width, magnitude):
    """In place of `width` angles their cosines; the sines after them."""
    for k in range(0, width, 16):
        cosine, sine = turned(load_floats16(angles + 4 * k))
        store(angles + 4 * k, cosine * magnitude)
        store(angles + 4 * (width + k), sine * magnitude)


@device
def _copy(out, x, first, last):
    for k in range(first, last):
        store_f32(out + 4 * k, load_f32(x + 4 * k))


@kernel("rope_pairs")
def rope_pairs(
    out, x, positions, frequencies, magnitude, heads, d, f, room, room_size, first, last, thread
):
    """Neighbours are pairs, over tokens; a thread has room for 4 * f numbers and more."""
    magnitude = float_of(magnitude)
    table = room + thread * room_size
    width = (2 * f + 15) // 16 * 16
    for token in range(first, last):
        position = np.float32(load_i32(positions + 4 * token))
        for k in range(f):
            angle = position * load_f32(frequencies + 4 * k)
            # of a pair, the first takes minus the sine: that is the sine of minus the angle
            store_f32(table + 8 * k, -angle)
            store_f32(table + 8 * k + 4, angle)
        _cosines_and_sines(table, width, magnitude)
        for head in range(heads):
            at = 4 * d * (token * heads + head)
            here, there = x + at, out + at
            whole = 2 * f // 16 * 16
            for k in range(0, whole, 16):
                value = load_floats16(here + 4 * k)
                other = swap_neighbours(value) * load_floats16(table + 4 * (width + k))
                store(there + 4 * k, fma(value, load_floats16(table + 4 * k), other))
            if whole < 2 * f:
                value = load_first_floats(here + 4 * whole, 2 * f - whole)
                other = swap_neighbours(value) * load_floats16(table + 4 * (width + whole))
                value = fma(value, load_floats16(table + 4 * whole), other)
                store_first(there + 4 * whole, value, 2 * f - whole)
            _copy(there, here, 2 * f, d)


@device
def _turn_halves(out, x, table, width, f, count):
    """A head's halves, `count` pairs from here on."""
    a, b = load_first_floats(x, count), load_first_floats(x + 4 * f, count)
    cosine, sine = load_floats16(table), load_floats16(table + 4 * width)
    store_first(out, fma(a, cosine, -(b * sine)), count)
    store_first(out + 4 * f, fma(b, cosine, a * sine), count)


@kernel("rope_halves")
def rope_halves(
    out,
    x,
    positions,
    kinds,
    component,
    frequencies,
    magnitude,
    heads,
    d,
    f,
    room,
    room_size,
    first,
    last,
    thread,
):
    """The halves pair up, over tokens. Each token has so many kinds of position."""
    magnitude = float_of(magnitude)
    table = room + thread * room_size
    width = (f + 15) // 16 * 16
    for token in range(first, last):
        for k in range(f):
            at = 4 * kinds * token
            if component != 0:
                at += 4 * load_i32(component + 4 * k)
            position = np.float32(load_i32(positions + at))
            store_f32(table + 4 * k, position * load_f32(frequencies + 4 * k))
        _cosines_and_sines(table, width, magnitude)
        for head in range(heads):
            at = 4 * d * (token * heads + head)
            here, there = x + at, out + at
            for k in range(0, f, 16):
                _turn_halves(there + 4 * k, here + 4 * k, table + 4 * k, width, f, min(16, f - k))
            _copy(there, here, 2 * f, d)


# ---- on a tape


def _room(tape: Tape, pairs: int) -> tuple[Any, int]:
    size = -(-16 * pairs // 64) * 64 + 256
    return tape.room(size), size


def _sizes(x: Any) -> tuple[int, int, int, int]:
    """Tokens, tokens of a piece, heads, size of a head."""
    tokens, heads, d = x.shape
    return tokens, max(1, PIECE // max(1, heads * d)), heads, d


def put_pairs(
    tape: Tape, out: Any, x: Any, positions: Any, frequencies: Any, *, magnitude: float = 1.0
) -> None:
    tokens, grain, heads, d = _sizes(x)
    f, room = frequencies.size, _room(tape, frequencies.size)
    values = positions, frequencies, np.float32(magnitude), heads, d, f, *room
    tape.add(rope_pairs, tokens, grain, out, x, *values)


def put_sections(
    tape: Tape,
    out: Any,
    x: Any,
    positions: Any,
    frequencies: Any,
    component: Any = 0,
    *,
    magnitude: float = 1.0,
) -> None:
    tokens, grain, heads, d = _sizes(x)
    f, room = frequencies.size, _room(tape, frequencies.size)
    kinds = 1 if positions.ndim == 1 else positions.shape[1]
    values = kinds, component, frequencies, np.float32(magnitude), heads, d, f, *room
    tape.add(rope_halves, tokens, grain, out, x, positions, *values)


KERNELS: dict[str, Callable[..., None]] = {
    "rope_pairs": put_pairs,
    "rope_halves": put_sections,
    "rope_sections": put_sections,
}
