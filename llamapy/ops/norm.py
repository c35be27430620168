"""Norms: rows brought to a standard size. Those of heads are the same, over shorter rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._op import op


@op("x[...,k], w[k]? -> [...,k]")
def rms_norm(x: Any, w: Any, *, eps: float) -> Any:
    """Divided by the root of the mean square."""
    y = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + np.float32(eps))
    return y if w is None else y * w


@op("x[...,k], w[k]?, b[k]? -> [...,k]")
def layer_norm(x: Any, w: Any, b: Any, *, eps: float) -> Any:
    """Mean 0 and variance 1."""
    x = x - x.mean(-1, keepdims=True)
    y = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + np.float32(eps))
    y = y if w is None else y * w
    return y if b is None else y + b


@op("x[n,h,k], w[h,k]?, b[h,k]? -> [n,h,k]")
def head_layer_norm(x: Any, w: Any, b: Any, *, eps: float) -> Any:
    """Each head's mean 0 and variance 1, and then weights of its own."""
    return layer_norm.definition(x, w, b, eps=eps)


@op("x[n,k], w[k]?, b[k]? -> [n,k]")
def group_norm(x: Any, w: Any, b: Any, *, groups: int, eps: float) -> Any:
    """Mean 0 and variance 1 over all rows of a group of columns."""
    n, k = x.shape
    if n == 0:
        return x
    y = x.reshape(n, groups, k // groups)
    y = y - y.mean((0, 2), keepdims=True)
    y = y / np.sqrt(np.square(y).mean((0, 2), keepdims=True) + np.float32(eps))
    y = y.reshape(n, k)
    y = y if w is None else y * w
    return y if b is None else y + b
