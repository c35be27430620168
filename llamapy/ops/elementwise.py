"""One value at a time: sums, products, activations, and the gated pairs of feed-forward blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._op import fused, op


@op("x[...], y[...] -> [...]")
def add(x: Any, y: Any) -> Any:
    return x + y


@op("x[...,k], b[k] -> [...,k]")
def add_bias(x: Any, b: Any) -> Any:
    """The same vector added to every row."""
    return x + b


@op("x[...], y[...] -> [...]")
def mul(x: Any, y: Any) -> Any:
    return x * y


@op("x[...,k], by[k] -> [...,k]")
def mul_columns(x: Any, by: Any) -> Any:
    """Every row times the same vector."""
    return x * by


@op("x[...,k], by[k] -> [...,k]")
def div_columns(x: Any, by: Any) -> Any:
    """Every row divided by the same vector."""
    return x / by


@op("x[...], by[one] -> [...]")
def mul_scalar(x: Any, by: Any) -> Any:
    """Times one number that is stored in the file."""
    return x * by


@op("x[n,h,d], by[n,h] -> [n,h,d]")
def mul_heads(x: Any, by: Any) -> Any:
    """Each head of a token times its own number."""
    return x * by[..., None]


@op("x[...] -> [...]")
def scale(x: Any, *, by: float) -> Any:
    return x * np.float32(by)


@op("x[...] -> [...]")
def softcap(x: Any, *, cap: float) -> Any:
    """Squeezed smoothly into (-cap, cap)."""
    return np.float32(cap) * np.tanh(x / np.float32(cap))


@op("x[...] -> [...]")
def clamp(x: Any, *, low: float, high: float) -> Any:
    return np.clip(x, np.float32(low), np.float32(high))


@op("x[...] -> [...]")
def tanh(x: Any) -> Any:
    return np.tanh(x)


@op("x[...] -> [...]")
def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@op("x[...] -> [...]")
def softplus(x: Any) -> Any:
    return np.logaddexp(x, np.float32(0))


@op("x[...] -> [...]")
def sqrt_softplus(x: Any) -> Any:
    """The root of softplus: how some routers score experts."""
    return np.sqrt(np.logaddexp(x, np.float32(0)))


@op("x[...] -> [...]")
def silu(x: Any) -> Any:
    return x / (1 + np.exp(-x))


@op("x[...] -> [...]")
def gelu(x: Any) -> Any:
    """The usual approximation of GELU, by tanh."""
    inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
    return np.float32(0.5) * x * (1 + np.tanh(inner))


@op("x[...] -> [...]")
def gelu_erf(x: Any) -> Any:
    """GELU as it was defined: x times the normal distribution's share below x."""
    return np.float32(0.5) * x * (1 + _erf(x * np.float32(math.sqrt(0.5))))


@op("x[...] -> [...]")
def gelu_quick(x: Any) -> Any:
    """GELU approximated by a sigmoid."""
    return x / (1 + np.exp(np.float32(-1.702) * x))


@op("x[...] -> [...]")
def xielu(x: Any, *, positive: float, negative: float, slope: float, eps: float) -> Any:
    """A parabola above 0, an exponential below it, and a line through both (arXiv:2411.13010)."""
    above = np.float32(positive) * x * x
    below = np.float32(negative) * (np.expm1(np.minimum(x, np.float32(eps))) - x)
    return np.where(x > 0, above, below) + np.float32(slope) * x


@op("x[...] -> [...]")
def relu(x: Any) -> Any:
    return np.maximum(x, np.float32(0))


@op("x[...] -> [...]")
def relu_squared(x: Any) -> Any:
    return np.square(np.maximum(x, np.float32(0)))


@op("x[...] -> [...]")
def softmax(x: Any) -> Any:
    """Along the last axis: positive, and of sum 1."""
    e = np.exp(x - x.max(-1, keepdims=True, initial=-np.inf))
    return e / e.sum(-1, keepdims=True)


# ---- gates: an activation of one half times the other


@fused("gate[...], up[...] -> [...]")
def silu_gate(gate: Any, up: Any) -> Any:
    return mul(silu(gate), up)


@fused("gate[...], up[...] -> [...]")
def gelu_gate(gate: Any, up: Any) -> Any:
    return mul(gelu(gate), up)


@fused("gate[...], up[...] -> [...]")
def gelu_erf_gate(gate: Any, up: Any) -> Any:
    return mul(gelu_erf(gate), up)


@fused("gate[...], up[...] -> [...]")
def relu_gate(gate: Any, up: Any) -> Any:
    return mul(relu(gate), up)


@op("gate[...], up[...] -> [...]")
def clipped_gate(gate: Any, up: Any, *, limit: float) -> Any:
    """gpt-oss's: the quick GELU of the gate times up + 1, with both kept from growing large."""
    gate = np.minimum(gate, np.float32(limit))
    up = np.clip(up, np.float32(-limit), np.float32(limit))
    return gate / (1 + np.exp(np.float32(-1.702) * gate)) * (up + 1)


# ---- the first half of a feed-forward block: gate and up are blocks of weights


@fused("x[...,k], gate:any[m,k], up:any[m,k] -> [...,m]")
def swiglu(x: Any, gate: Any, up: Any) -> Any:
    return silu_gate(gate(x), up(x))


@fused("x[...,k], gate:any[m,k], up:any[m,k] -> [...,m]")
def geglu(x: Any, gate: Any, up: Any) -> Any:
    return gelu_gate(gate(x), up(x))


@fused("x[...,k], gate:any[m,k], up:any[m,k] -> [...,m]")
def reglu(x: Any, gate: Any, up: Any) -> Any:
    return relu_gate(gate(x), up(x))


def _erf(x: Any) -> Any:
    """The error function, by Python's own."""
    return np.vectorize(math.erf, otypes=[np.float32])(x) if x.size else x
