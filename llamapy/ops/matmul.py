"""Products with matrices of weights, and the choice of rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._op import op


@op("x[...,k], w:any[m,k] -> [...,m]")
def matmul(x: Any, w: Any) -> Any:
    """Each row of x with each row of w."""
    return x @ w.T


@op("x[b,n,k], w:any[b,m,k] -> [b,n,m]")
def batched_matmul(x: Any, w: Any) -> Any:
    """One product for each b."""
    return x @ w.swapaxes(-1, -2)


@op("x[n,j,k], w:rows[e,m,k], ids<e[n,c] -> [n,c,m]")
def expert_matmul(x: Any, w: Any, ids: Any) -> Any:
    """Each row with the matrices of its experts; j is 1, or c: a row for each of the experts."""
    out = np.zeros((*ids.shape, w.shape[1]), np.float32)
    x = np.broadcast_to(x, (*ids.shape, x.shape[-1]))
    for expert in np.unique(ids[ids >= 0]):
        chosen = ids == expert
        out[chosen] = x[chosen] @ w[expert].T
    return out


@op("y[n,c,m], b[e,m], ids<e[n,c] -> [n,c,m]")
def add_expert_bias(y: Any, b: Any, ids: Any) -> Any:
    """To each row the vector of its expert."""
    return y + b[ids]


@op("y[n,c,m], b[e], ids<e[n,c] -> [n,c,m]")
def mul_expert_scale(y: Any, b: Any, ids: Any) -> Any:
    """Each row times the number of its expert."""
    return y * b[ids][..., None]


@op("y[n,c,m], weights[n,c] -> [n,m]")
def expert_sum(y: Any, weights: Any) -> Any:
    """The experts' rows, weighted and added."""
    return (y * weights[..., None]).sum(1)


@op("y[n,c,m] -> [n,m]")
def expert_total(y: Any) -> Any:
    """The experts' rows, added."""
    return y.sum(1)


@op("ids<v[n], w:rows[v,...] -> [n,...]")
def lookup(ids: Any, w: Any) -> Any:
    """The rows of these numbers: of an embedding, of a batch, of a cache."""
    return w[ids]


@op("ids<v[n], table:int32[v] -> int32[n]")
def translate(ids: Any, table: Any) -> Any:
    """The whole numbers that stand for these."""
    return table[ids]


@op("x[n,k] -> [n,k]")
def fill_columns(x: Any, *, start: int, count: int, value: float) -> Any:
    """Some columns, next to each other, set to a number."""
    out = x.copy()
    out[:, start : start + count] = value
    return out


@op("x[n,h,k], w:any[h,m,k] -> [n,h,m]")
def head_matmul(x: Any, w: Any) -> Any:
    """Each head with a matrix of its own."""
    return np.einsum("nhk,hmk->nhm", x, w, optimize=True)


@op("x[...,j], y[...,k] -> [...,j+k]")
def join(x: Any, y: Any) -> Any:
    """The columns of both, side by side."""
    return np.concatenate([x, y], -1)


@op("x[n,h,k] -> [n,h*times,k]")
def repeat_heads(x: Any, *, times: int) -> Any:
    """Each head several times, one after the other."""
    return np.repeat(x, times, 1)


@op("x[n,k] -> [n,count]")
def columns(x: Any, *, start: int, count: int) -> Any:
    """Some columns, next to each other."""
    return x[:, start : start + count]
