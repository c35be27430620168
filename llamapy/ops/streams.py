"""Hidden states in several streams, mixed anew for each token (AltUp, arXiv:2301.13310)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._op import op


@op("x[n,a,k], by[n,b,a] -> [n,b,k]")
def mix_streams(x: Any, by: Any) -> Any:
    """New streams of a token, each a sum of all its streams times numbers of its own."""
    return np.matmul(by, x)


@op("x[n,a,k], like[n,k] -> [n,a,k]")
def as_long_as(x: Any, like: Any) -> Any:
    """Each stream made as long as another vector of its token."""
    size, wanted = _length(x), _length(like)[:, None]
    return x * wanted / size


@op("x[n,k] -> [n,k]")
def excess(x: Any, *, deviations: float) -> Any:
    """How far values are above the mean of their row and so many standard deviations, or 0."""
    mean = x.mean(-1, keepdims=True)
    variance = np.square(x - mean).sum(-1, keepdims=True) / np.float32(x.shape[-1] - 1)
    return np.maximum(x - (mean + np.sqrt(variance) * np.float32(deviations)), np.float32(0))


def _length(x: Any) -> Any:
    return np.sqrt(np.square(x).sum(-1, keepdims=True))
