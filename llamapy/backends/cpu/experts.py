# mypy: check-untyped-defs=False
"""Mixtures of experts: which experts a token goes to, and what comes back from them.

An expert's weights are read once for all tokens that go to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .elementwise import PIECE, float_of
from .kernel import kernel
from .simd import (
    fma,
    least,
    load_f32,
    load_first_floats,
    load_i32,
    repeat_float,
    store_f32,
    store_first,
    store_u32,
)
from .tape import Tape

# a score that was taken, or does not count
GONE = np.float32(-np.inf)


@kernel("choose_experts")
def choose(out, p, bias, experts, count, groups, used, room, room_size, first, last, thread):
    """The likeliest experts of each token, best first, and of equals the first."""
    scores = room + thread * room_size
    sums = scores + 4 * experts
    size = experts // groups
    for token in range(first, last):
        for k in range(experts):
            value = load_f32(p + 4 * (token * experts + k))
            if bias != 0:
                value += load_f32(bias + 4 * k)
            store_f32(scores + 4 * k, value)
        if groups > 1:
            for group in range(groups):
                one, two = GONE, GONE
                for k in range(group * size, (group + 1) * size):
                    value = load_f32(scores + 4 * k)
                    if value > one:
                        one, two = value, one
                    elif value > two:
                        two = value
                store_f32(sums + 4 * group, one if size == 1 else one + two)
            # a group counts if fewer than `used` are better, or as good and before it
            for group in range(groups):
                mine, better = load_f32(sums + 4 * group), 0
                for other in range(groups):
                    theirs = load_f32(sums + 4 * other)
                    if theirs > mine or (theirs == mine and other < group):
                        better += 1
                if better >= used:
                    for k in range(group * size, (group + 1) * size):
                        store_f32(scores + 4 * k, GONE)
        for rank in range(count):
            # what was chosen is marked by NaN, so that what does not count can still be chosen
            best, at = GONE, -1
            for k in range(experts):
                value = load_f32(scores + 4 * k)
                if value > best or (at < 0 and value == value):
                    best, at = value, k
            store_u32(out + 4 * (token * count + rank), at if at > 0 else 0)
            if at >= 0:
                store_f32(scores + 4 * at, np.float32(np.nan))


@kernel("expert_weights")
def weights_of(out, p, ids, experts, count, first, last, thread):
    """The probabilities of the chosen experts."""
    for k in range(first, last):
        expert = load_i32(ids + 4 * k)
        expert = expert + experts if expert < 0 else expert
        store_f32(out + 4 * k, load_f32(p + 4 * (k // count * experts + expert)))


@kernel("normalize_weights")
def normalize(out, weights, count, first, last, thread):
    """Brought to the sum 1; what is too small for half precision is not scaled up further."""
    for token in range(first, last):
        total = np.float32(0)
        for k in range(token * count, (token + 1) * count):
            total += load_f32(weights + 4 * k)
        # NaN is kept
        total = np.float32(2.0**-14) if total < np.float32(2.0**-14) else total
        for k in range(token * count, (token + 1) * count):
            store_f32(out + 4 * k, load_f32(weights + 4 * k) / total)


@kernel("expert_sum")
def expert_sum(out, y, weights, shared, count, columns, first, last, thread):
    """Rows, weighted and added; `shared` sums are of the same rows."""
    for each in range(first, last):
        rows, numbers = y + 4 * (each // shared * count) * columns, weights + 4 * each * count
        for column in range(0, columns, 16):
            rest = least(16, columns - column)
            total = repeat_float(0.0)
            for k in range(count):
                value = load_first_floats(rows + 4 * (k * columns + column), rest)
                total = fma(value, repeat_float(load_f32(numbers + 4 * k)), total)
            store_first(out + 4 * (each * columns + column), total, rest)


@kernel("add_expert_bias")
def add_bias(out, y, b, ids, columns, experts, first, last, thread):
    for row in range(first, last):
        expert = load_i32(ids + 4 * row)
        expert = expert + experts if expert < 0 else expert
        for column in range(0, columns, 16):
            rest, at = least(16, columns - column), 4 * (row * columns + column)
            value = load_first_floats(y + at, rest)
            value = value + load_first_floats(b + 4 * (expert * columns + column), rest)
            store_first(out + at, value, rest)


@kernel("mul_expert_scale")
def mul_scale(out, y, b, ids, columns, experts, first, last, thread):
    for row in range(first, last):
        expert = load_i32(ids + 4 * row)
        expert = expert + experts if expert < 0 else expert
        factor = load_f32(b + 4 * expert)
        for column in range(0, columns, 16):
            rest, at = least(16, columns - column), 4 * (row * columns + column)
            store_first(out + at, load_first_floats(y + at, rest) * factor, rest)


@kernel("chunks_of_experts")
def chunks_of_experts(out, ids, by, first, last, thread):
    """Each number times another one in float32, without what is behind the point."""
    by = float_of(by)
    for k in range(first, last):
        store_u32(out + 4 * k, int(np.float32(load_i32(ids + 4 * k)) * by))


@kernel("nearest_choice")
def nearest_choice(out, x, columns, highest, first, last, thread):
    """The whole number nearest to the first of each row, from 0 to the highest."""
    for k in range(first, last):
        value = load_f32(x + 4 * columns * k)
        value = max(np.float32(0), min(np.float32(highest), value))
        store_u32(out + 4 * k, int(np.floor(value + np.float32(0.5))))


# ---- on a tape


def put_choose(
    tape: Tape, out: Any, p: Any, bias: Any, *, count: int, groups: int = 1, groups_used: int = 1
) -> None:
    tokens, experts = p.shape
    count, bias = out.shape[1], 0 if bias is None else bias
    size = -(-4 * (experts + groups) // 64) * 64
    values = experts, count, groups, groups_used, tape.room(size), size
    tape.add(choose, tokens, 16, out, p, bias, *values)


def put_weights(tape: Tape, out: Any, p: Any, ids: Any) -> None:
    tape.add(weights_of, ids.size, PIECE, out, p, ids, p.shape[1], ids.shape[1])


def put_normalize(tape: Tape, out: Any, weights: Any) -> None:
    tape.add(normalize, len(weights), 256, out, weights, weights.shape[1])


def _grain(columns: int) -> int:
    return max(1, PIECE // max(1, columns))


def put_expert_sum(tape: Tape, out: Any, y: Any, weights: Any) -> None:
    tokens, count, columns = y.shape
    grain = _grain(columns * count)
    tape.add(expert_sum, tokens, grain, out, y, weights, 1, count, columns)


def put_mix_streams(tape: Tape, out: Any, x: Any, by: Any) -> None:
    """Streams are mixed as experts' rows are."""
    tokens, count, columns = x.shape
    shared = by.shape[1]
    grain = _grain(columns * count)
    tape.add(expert_sum, tokens * shared, grain, out, x, by, shared, count, columns)


def put_chunks_of_experts(tape: Tape, out: Any, ids: Any, *, size: int) -> None:
    tape.add(chunks_of_experts, ids.size, PIECE, out, ids, np.float32(1 / size))


def put_nearest_choice(tape: Tape, out: Any, x: Any, *, highest: int) -> None:
    tape.add(nearest_choice, out.size, PIECE, out, x, x.shape[-1], highest)


def put_expert_total(tape: Tape, out: Any, y: Any) -> None:
    put_expert_sum(tape, out, y, np.ones(y.shape[:2], np.float32))


def put_add_bias(tape: Tape, out: Any, y: Any, b: Any, ids: Any) -> None:
    columns = y.shape[2]
    tape.add(add_bias, ids.size, _grain(columns), out, y, b, ids, columns, len(b))


def put_mul_scale(tape: Tape, out: Any, y: Any, b: Any, ids: Any) -> None:
    columns = y.shape[2]
    tape.add(mul_scale, ids.size, _grain(columns), out, y, b, ids, columns, len(b))


KERNELS: dict[str, Callable[..., None]] = {
    "choose_experts": put_choose,
    "expert_weights": put_weights,
    "normalize_weights": put_normalize,
    "expert_sum": put_expert_sum,
    "expert_total": put_expert_total,
    "mix_streams": put_mix_streams,
    "chunks_of_experts": put_chunks_of_experts,
    "nearest_choice": put_nearest_choice,
    "add_expert_bias": put_add_bias,
    "mul_expert_scale": put_mul_scale,
}
