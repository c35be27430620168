# mypy: check-untyped-defs=False
"""Rows brought to a standard size, or to the sum 1: whole rows, and those of heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .elementwise import PIECE, float_of
from .functions import exponential
from .kernel import device, kernel
from .simd import (
    fma,
    least,
    load_f32,
    load_first_floats,
    load_floats16,
    maximum,
    reduce_add,
    reduce_max,
    repeat_float,
    store,
    store_first,
)
from .tape import Tape

LOWEST = -3.4e38


@device
def _sum(x, columns):
    whole = columns // 16 * 16
    total, other = repeat_float(0.0), repeat_float(0.0)
    for k in range(0, whole - 16, 32):
        total = total + load_floats16(x + 4 * k)
        other = other + load_floats16(x + 4 * k + 64)
    if whole % 32:
        total = total + load_floats16(x + 4 * whole - 64)
    if whole < columns:
        total = total + load_first_floats(x + 4 * whole, columns - whole)
    return reduce_add(total + other)


@device
def _sum_of_squares(x, mean, columns):
    whole = columns // 16 * 16
    total, other = repeat_float(0.0), repeat_float(0.0)
    for k in range(0, whole - 16, 32):
        a, b = load_floats16(x + 4 * k) - mean, load_floats16(x + 4 * k + 64) - mean
        total, other = fma(a, a, total), fma(b, b, other)
    if whole % 32:
        a = load_floats16(x + 4 * whole - 64) - mean
        total = fma(a, a, total)
    result = reduce_add(total + other)
    for k in range(whole, columns):
        a = load_f32(x + 4 * k) - mean
        result += a * a
    return result


@device
def _scaled(out, x, w, b, mean, factor, columns):
    """out = (x - mean) * factor * w + b; w and b may be 0, for none."""
    whole = columns // 16 * 16
    for k in range(0, whole, 16):
        value = (load_floats16(x + 4 * k) - mean) * factor
        if w != 0:
            value = value * load_floats16(w + 4 * k)
        if b != 0:
            value = value + load_floats16(b + 4 * k)
        store(out + 4 * k, value)
    if whole < columns:
        rest = columns - whole
        value = (load_first_floats(x + 4 * whole, rest) - mean) * factor
        if w != 0:
            value = value * load_first_floats(w + 4 * whole, rest)
        if b != 0:
            value = value + load_first_floats(b + 4 * whole, rest)
        store_first(out + 4 * whole, value, rest)


@kernel("rms_norm")
def rms_norm(out, x, w, columns, eps, first, last, thread):
    """Divided by the root of the mean square."""
    eps = float_of(eps)
    zero = np.float32(0)
    for row in range(first, last):
        here = x + 4 * columns * row
        mean_square = _sum_of_squares(here, zero, columns) / np.float32(columns)
        factor = np.float32(1) / np.sqrt(mean_square + eps)
        _scaled(out + 4 * columns * row, here, w, 0, zero, factor, columns)


@kernel("layer_norm")
def layer_norm(out, x, w, b, heads, columns, eps, first, last, thread):
    """Mean 0 and variance 1. Each of a token's heads may have weights of its own."""
    eps = float_of(eps)
    for row in range(first, last):
        here, own = x + 4 * columns * row, 4 * columns * (row % heads)
        mean = _sum(here, columns) / np.float32(columns)
        variance = _sum_of_squares(here, mean, columns) / np.float32(columns)
        factor = np.float32(1) / np.sqrt(variance + eps)
        ws, bs = w + own if w != 0 else 0, b + own if b != 0 else 0
        _scaled(out + 4 * columns * row, here, ws, bs, mean, factor, columns)


@kernel("group_norm")
def group_norm(out, x, w, b, rows, columns, width, eps, first, last, thread):
    """Mean 0 and variance 1 over all rows, over groups of `width` columns."""
    eps = float_of(eps)
    for group in range(first, last):
        own = 4 * width * group
        count, total, squares = np.float32(rows * width), np.float32(0), np.float32(0)
        for row in range(rows):
            total += _sum(x + 4 * columns * row + own, width)
        mean = total / count
        for row in range(rows):
            squares += _sum_of_squares(x + 4 * columns * row + own, mean, width)
        factor = np.float32(1) / np.sqrt(squares / count + eps)
        ws, bs = w + own if w != 0 else 0, b + own if b != 0 else 0
        for row in range(rows):
            at = 4 * columns * row + own
            _scaled(out + at, x + at, ws, bs, mean, factor, width)


@kernel("as_long_as")
def as_long_as(out, x, like, shared, columns, first, last, thread):
    """Each row made as long as another; `shared` rows are made as long as the same."""
    zero = np.float32(0)
    for row in range(first, last):
        here = x + 4 * columns * row
        wanted = np.sqrt(_sum_of_squares(like + 4 * columns * (row // shared), zero, columns))
        factor = wanted / np.sqrt(_sum_of_squares(here, zero, columns))
        _scaled(out + 4 * columns * row, here, 0, 0, zero, factor, columns)


@kernel("excess")
def excess(out, x, columns, deviations, first, last, thread):
    """How far values are above the mean and so many standard deviations, or 0."""
    deviations = float_of(deviations)
    for row in range(first, last):
        here = x + 4 * columns * row
        mean = _sum(here, columns) / np.float32(columns)
        variance = _sum_of_squares(here, mean, columns) / np.float32(columns - 1)
        bound = mean + np.sqrt(variance) * deviations
        for k in range(0, columns, 16):
            rest = least(16, columns - k)
            value = load_first_floats(here + 4 * k, rest) - bound
            store_first(out + 4 * (columns * row + k), maximum(repeat_float(0.0), value), rest)


@kernel("softmax")
def softmax(out, x, columns, first, last, thread):
    """Positive, and of sum 1."""
    whole = columns // 16 * 16
    rest = columns - whole
    for row in range(first, last):
        here, there = x + 4 * columns * row, out + 4 * columns * row
        top = repeat_float(LOWEST)
        for k in range(0, whole, 16):
            top = maximum(load_floats16(here + 4 * k), top)
        most = reduce_max(top)
        for k in range(whole, columns):
            most = max(most, load_f32(here + 4 * k))
        sums = repeat_float(0.0)
        for k in range(0, whole, 16):
            value = exponential(load_floats16(here + 4 * k) - most)
            sums = sums + value
            store(there + 4 * k, value)
        total = reduce_add(sums)
        if rest:
            value = exponential(load_first_floats(here + 4 * whole, rest) - most)
            store_first(there + 4 * whole, value, rest)
            total += reduce_add(load_first_floats(there + 4 * whole, rest))
        by = np.float32(1) / total
        for k in range(0, whole, 16):
            store(there + 4 * k, load_floats16(there + 4 * k) * by)
        if rest:
            store_first(there + 4 * whole, load_first_floats(there + 4 * whole, rest) * by, rest)


# ---- on a tape


def _rows(x: Any) -> tuple[int, int, int]:
    """Rows, rows of a piece, columns."""
    columns = x.shape[-1]
    return x.size // max(1, columns), max(1, PIECE // max(1, columns)), columns


def put_rms_norm(tape: Tape, out: Any, x: Any, w: Any, *, eps: float) -> None:
    rows, grain, columns = _rows(x)
    tape.add(rms_norm, rows, grain, out, x, 0 if w is None else w, columns, np.float32(eps))


def put_layer_norm(tape: Tape, out: Any, x: Any, w: Any, b: Any, *, eps: float) -> None:
    _put_layer_norm(tape, out, x, w, b, 1, eps)


def put_head_layer_norm(tape: Tape, out: Any, x: Any, w: Any, b: Any, *, eps: float) -> None:
    _put_layer_norm(tape, out, x, w, b, x.shape[1], eps)


def _put_layer_norm(tape: Tape, out: Any, x: Any, w: Any, b: Any, heads: int, eps: float) -> None:
    rows, grain, columns = _rows(x)
    w, b = (0 if each is None else each for each in (w, b))
    tape.add(layer_norm, rows, grain, out, x, w, b, heads, columns, np.float32(eps))


def put_group_norm(
    tape: Tape, out: Any, x: Any, w: Any, b: Any, *, groups: int, eps: float
) -> None:
    rows, columns = x.shape
    w, b = (0 if each is None else each for each in (w, b))
    values = rows, columns, columns // groups, np.float32(eps)
    if rows:
        tape.add(group_norm, groups, 1, out, x, w, b, *values)


def put_as_long_as(tape: Tape, out: Any, x: Any, like: Any) -> None:
    rows, grain, columns = _rows(x)
    tape.add(as_long_as, rows, grain, out, x, like, x.shape[1], columns)


def put_excess(tape: Tape, out: Any, x: Any, *, deviations: float) -> None:
    rows, grain, columns = _rows(x)
    tape.add(excess, rows, grain, out, x, columns, np.float32(deviations))


def put_softmax(tape: Tape, out: Any, x: Any) -> None:
    rows, grain, columns = _rows(x)
    tape.add(softmax, rows, grain, out, x, columns)


KERNELS: dict[str, Callable[..., None]] = {
    "rms_norm": put_rms_norm,
    "layer_norm": put_layer_norm,
    "head_layer_norm": put_head_layer_norm,
    "group_norm": put_group_norm,
    "as_long_as": put_as_long_as,
    "excess": put_excess,
    "softmax": put_softmax,
}
