# mypy: check-untyped-defs=False
"""Operations on one value at a time, and the gated pairs of feed-forward blocks."""

from __future__ import annotations

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


# ---- what happens to a value x, or to a pair x and y; p and q are parameters


@device
def add(x, y, p, q):
    return x + y


@device
def mul(x, y, p, q):
    return x * y


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
def sigmoid_(x, y, p, q):
    return sigmoid(x)


@device
def softplus(x, y, p, q):
    return softened_step(x)


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


FUNCTIONS: dict[str, Any] = {
    "add": add,
    "mul": mul,
    "scale": scale,
    "softcap": softcap,
    "clamp": clamp,
    "tanh": tanh,
    "sigmoid": sigmoid_,
    "softplus": softplus,
    "silu": silu,
    "gelu": gelu,
    "gelu_erf": gelu_erf,
    "gelu_quick": gelu_quick,
    "relu": relu,
    "relu_squared": relu_squared,
    "silu_gate": silu_gate,
    "gelu_gate": gelu_gate,
    "gelu_erf_gate": gelu_erf_gate,
    "relu_gate": relu_gate,
}


# ---- kernels


@once
def mapped(name: str) -> Kernel:
    """out[i] = function(x[i], y[i]), over pieces of all values."""
    function = FUNCTIONS[name]

    @kernel(f"map_{name}")
    def apply(out, x, y, p, q, size, first, last, thread):
        p, q = float_of(p), float_of(q)
        at, end = first * PIECE, least(last * PIECE, size)
        whole = at + (end - at) // 16 * 16
        for k in range(at, whole, 16):
            value = function(load_floats16(x + 4 * k), load_floats16(y + 4 * k), p, q)
            store(out + 4 * k, value)
        if whole < end:
            rest = end - whole
            a = load_first_floats(x + 4 * whole, rest)
            b = load_first_floats(y + 4 * whole, rest)
            store_first(out + 4 * whole, function(a, b, p, q), rest)

    return apply


@kernel("add_bias")
def bias_kernel(out, x, b, columns, first, last, thread):
    """The same vector added to every row."""
    whole = columns // 16 * 16
    for row in range(first, last):
        here, there = x + 4 * columns * row, out + 4 * columns * row
        for k in range(0, whole, 16):
            store(there + 4 * k, load_floats16(here + 4 * k) + load_floats16(b + 4 * k))
        if whole < columns:
            rest = columns - whole
            value = load_first_floats(here + 4 * whole, rest)
            value = value + load_first_floats(b + 4 * whole, rest)
            store_first(there + 4 * whole, value, rest)


@kernel("mul_scalar")
def mul_scalar_kernel(out, x, by, size, first, last, thread):
    """Times one number in memory."""
    factor = load_f32(by)
    at, end = first * PIECE, least(last * PIECE, size)
    whole = at + (end - at) // 16 * 16
    for k in range(at, whole, 16):
        store(out + 4 * k, load_floats16(x + 4 * k) * factor)
    if whole < end:
        rest = end - whole
        store_first(out + 4 * whole, load_first_floats(x + 4 * whole, rest) * factor, rest)


# ---- on a tape


def _mapped(name: str) -> Callable[..., None]:
    def put(tape: Tape, out: Any, x: Any, y: Any = None, **params: float) -> None:
        p, q = (*map(np.float32, params.values()), np.float32(0), np.float32(0))[:2]
        y = x if y is None else y
        tape.add(mapped(name), -(-x.size // PIECE), 1, out, x, y, p, q, x.size)

    return put


def put_add_bias(tape: Tape, out: Any, x: Any, b: Any) -> None:
    columns = b.size
    rows = x.size // max(1, columns)
    grain = max(1, PIECE // max(1, columns))
    tape.add(bias_kernel, rows, grain, out, x, b, columns)


def put_mul_scalar(tape: Tape, out: Any, x: Any, by: Any) -> None:
    tape.add(mul_scalar_kernel, -(-x.size // PIECE), 1, out, x, by, x.size)


KERNELS: dict[str, Callable[..., None]] = {
    **{name: _mapped(name) for name in FUNCTIONS},
    "add_bias": put_add_bias,
    "mul_scalar": put_mul_scalar,
}
