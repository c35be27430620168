# mypy: check-untyped-defs=False
"""Operations on one value at a time, and the gated pairs of feed-forward blocks."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...jit import bits_float
from .functions import (
    error_function,
    exponential,
    hyperbolic_tangent,
    sigmoid,
    softened_step,
)
from .kernel import Kernel, device, kernel, once
from .simd import (
    fma,
    least,
    load_f32,
    load_first_floats,
    load_floats16,
    maximum,
    repeat_float,
    square_root,
    store,
    store_first,
    where,
)
from .tape import Tape

# values that one thread does at a time
PIECE = 4096
ROOT_OF_2_OVER_PI = math.sqrt(2 / math.pi)
ROOT_OF_HALF = math.sqrt(0.5)


@device
def float_of(bits):
    """A parameter that is a float32."""
    return bits_float(np.uint32(bits))


# ---- what happens to a value x, or to a pair x and y; the others are parameters


@device
def add(x, y, p, q):
    return x + y


@device
def mul(x, y, p, q):
    return x * y


@device
def div(x, y, p, q):
    return x / y


@device
def scale(x, y, p, q):
    return x * p


@device
def softcap(x, y, p, q):
    return hyperbolic_tangent(x / p) * p


@device
def clamp(x, y, p, q):
    x = where(x < p, p, x)
    return where(x > q, q, x)


@device
def tanh(x, y, p, q):
    return hyperbolic_tangent(x)


@device
def exp(x, y, p, q):
    return exponential(x)


@device
def sigmoid_(x, y, p, q):
    return sigmoid(x)


@device
def softplus(x, y, p, q):
    return softened_step(x)


@device
def sqrt_softplus(x, y, p, q):
    return square_root(softened_step(x))


@device
def silu(x, y, p, q):
    return x / (1.0 + exponential(-x))


@device
def gelu(x, y, p, q):
    inner = fma(x * x * x, repeat_float(0.044715), x) * ROOT_OF_2_OVER_PI
    return x * 0.5 * (1.0 + hyperbolic_tangent(inner))


@device
def gelu_erf(x, y, p, q):
    return x * 0.5 * (1.0 + error_function(x * ROOT_OF_HALF))


@device
def gelu_quick(x, y, p, q):
    return x / (1.0 + exponential(x * -1.702))


@device
def xielu(x, y, positive, negative, slope, eps):
    # exp(x) - 1 by the tangent of x/2 loses no digits near 0
    t = hyperbolic_tangent(where(x > eps, eps, x) * 0.5)
    below = (t * 2.0 / (1.0 - t) - x) * negative
    return where(x > 0.0, x * x * positive, below) + x * slope


@device
def relu(x, y, p, q):
    return maximum(repeat_float(0.0), x)


@device
def relu_squared(x, y, p, q):
    x = maximum(repeat_float(0.0), x)
    return x * x


@device
def silu_gate(x, y, p, q):
    return silu(x, y, p, q) * y


@device
def gelu_gate(x, y, p, q):
    return gelu(x, y, p, q) * y


@device
def gelu_erf_gate(x, y, p, q):
    return gelu_erf(x, y, p, q) * y


@device
def relu_gate(x, y, p, q):
    return maximum(repeat_float(0.0), x) * y


@device
def clipped_gate(x, y, p, q):
    x = where(x > p, p, x)
    return gelu_quick(x, y, p, q) * (clamp(y, x, -p, p) + 1.0)


FUNCTIONS: dict[str, Any] = {
    "add": add,
    "mul": mul,
    "div": div,
    "scale": scale,
    "softcap": softcap,
    "clamp": clamp,
    "tanh": tanh,
    "exp": exp,
    "sigmoid": sigmoid_,
    "softplus": softplus,
    "sqrt_softplus": sqrt_softplus,
    "silu": silu,
    "gelu": gelu,
    "gelu_erf": gelu_erf,
    "gelu_quick": gelu_quick,
    "xielu": xielu,
    "relu": relu,
    "relu_squared": relu_squared,
    "silu_gate": silu_gate,
    "gelu_gate": gelu_gate,
    "gelu_erf_gate": gelu_erf_gate,
    "relu_gate": relu_gate,
    "clipped_gate": clipped_gate,
}


# ---- kernels


@once
def _of_four(name: str) -> Any:
    """The function with four parameters, most of which have no use for so many."""
    function = FUNCTIONS[name]
    if len(inspect.signature(function.py_func).parameters) > 4:
        return function

    @device
    def call(x, y, p, q, r, s):
        return function(x, y, p, q)

    return call


@once
def mapped(name: str) -> Kernel:
    """out[i] = function(x[i], y[i]), over pieces of all values."""
    function = _of_four(name)

    @kernel(f"map_{name}")
    def apply(out, x, y, p, q, r, s, size, first, last, thread):
        p, q, r, s = float_of(p), float_of(q), float_of(r), float_of(s)
        at, end = first * PIECE, least(last * PIECE, size)
        whole = at + (end - at) // 16 * 16
        for k in range(at, whole, 16):
            value = function(load_floats16(x + 4 * k), load_floats16(y + 4 * k), p, q, r, s)
            store(out + 4 * k, value)
        if whole < end:
            rest = end - whole
            a = load_first_floats(x + 4 * whole, rest)
            b = load_first_floats(y + 4 * whole, rest)
            store_first(out + 4 * whole, function(a, b, p, q, r, s), rest)

    return apply


@once
def with_columns(name: str) -> Kernel:
    """out[i, k] = function(x[i, k], y[k]), over rows: each meets the same vector."""
    function, none = FUNCTIONS[name], np.float32(0)

    @kernel(f"columns_{name}")
    def apply(out, x, y, columns, first, last, thread):
        whole = columns // 16 * 16
        for row in range(first, last):
            here, there = x + 4 * columns * row, out + 4 * columns * row
            for k in range(0, whole, 16):
                value = function(load_floats16(here + 4 * k), load_floats16(y + 4 * k), none, none)
                store(there + 4 * k, value)
            if whole < columns:
                rest = columns - whole
                a = load_first_floats(here + 4 * whole, rest)
                b = load_first_floats(y + 4 * whole, rest)
                store_first(there + 4 * whole, function(a, b, none, none), rest)

    return apply


@kernel("mul_rows")
def mul_rows(out, x, by, step, columns, first, last, thread):
    """Each row times its own number; the numbers are `step` bytes apart."""
    whole = columns // 16 * 16
    for row in range(first, last):
        factor = load_f32(by + step * row)
        here, there = x + 4 * columns * row, out + 4 * columns * row
        for k in range(0, whole, 16):
            store(there + 4 * k, load_floats16(here + 4 * k) * factor)
        if whole < columns:
            rest = columns - whole
            store_first(there + 4 * whole, load_first_floats(here + 4 * whole, rest) * factor, rest)


# ---- on a tape


def rows_of(x: Any, columns: int) -> tuple[int, int]:
    """Rows of so many columns, and how many of them make a piece."""
    return x.size // max(1, columns), max(1, PIECE // max(1, columns))


def _mapped(name: str) -> Callable[..., None]:
    def put(tape: Tape, out: Any, x: Any, y: Any = None, **params: float) -> None:
        numbers = [*map(np.float32, params.values()), *[np.float32(0)] * 4][:4]
        y = x if y is None else y
        tape.add(mapped(name), -(-x.size // PIECE), 1, out, x, y, *numbers, x.size)

    return put


def _with_columns(name: str) -> Callable[..., None]:
    def put(tape: Tape, out: Any, x: Any, y: Any) -> None:
        tape.add(with_columns(name), *rows_of(x, y.size), out, x, y, y.size)

    return put


def put_mul_rows(tape: Tape, out: Any, x: Any, by: Any) -> None:
    """Each row times its number; what one number is for is a row."""
    columns = x.size // max(1, by.size)
    tape.add(mul_rows, *rows_of(x, columns), out, x, by, 4, columns)


def put_mul_scalar(tape: Tape, out: Any, x: Any, by: Any) -> None:
    columns = x.shape[-1] if x.shape else 1
    tape.add(mul_rows, *rows_of(x, columns), out, x, by, 0, columns)


KERNELS: dict[str, Callable[..., None]] = {
    **{name: _mapped(name) for name in FUNCTIONS if name != "div"},
    "add_bias": _with_columns("add"),
    "mul_columns": _with_columns("mul"),
    "div_columns": _with_columns("div"),
    "mul_heads": put_mul_rows,
    "mul_scalar": put_mul_scalar,
}
