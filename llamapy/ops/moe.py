"""Routing: which experts each token goes to, and how much each of them counts.

The choice is data, ids [n, count], and never changes a shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._op import op


@op("probabilities[n,e], bias[e]? -> int32[n,count]")
def choose_experts(
    probabilities: Any, bias: Any, *, count: int, groups: int = 1, groups_used: int = 1
) -> Any:
    """The likeliest experts, best first; of equals, the one that comes first.

    A bias moves the choice but not the weights. With groups, only those count whose best two
    experts together are the likeliest.
    """
    scores = probabilities if bias is None else probabilities + bias
    if groups > 1:
        n, n_experts = scores.shape
        members = scores.reshape(n, groups, n_experts // groups)
        best = np.sort(members, -1)[..., -2:].sum(-1)  # [n, groups]
        dropped = _best(best, groups)[:, groups_used:]
        members = members.copy()
        members[np.arange(n)[:, None], dropped] = -np.inf
        scores = members.reshape(n, n_experts)
    return _best(scores, count)


@op("probabilities[n,e], ids<e[n,c] -> [n,c]")
def expert_weights(probabilities: Any, ids: Any) -> Any:
    """The probabilities of the chosen experts."""
    return np.take_along_axis(probabilities, ids, -1)


@op("x[n,h,d] -> int32[n,h]")
def nearest_choice(x: Any, *, highest: int) -> Any:
    """The whole number that is nearest to the first value of each head, from 0 to the highest."""
    return np.floor(np.clip(x[..., 0], 0, highest) + np.float32(0.5)).astype(np.int32)


@op("weights[n,c] -> [n,c]")
def normalize_weights(weights: Any) -> Any:
    """Brought to the sum 1; a sum too small for half precision is not scaled up further."""
    return weights / np.maximum(weights.sum(-1, keepdims=True), np.float32(2.0**-14))


@op("ids:int32[n,c] -> int32[n,c]")
def chunks_of_experts(ids: Any, *, size: int) -> Any:
    """The chunk that each expert is of, when every `size` experts are one.

    The division is one of float32, as llama.cpp's is.
    """
    return (ids.astype(np.float32) * np.float32(1 / size)).astype(np.int32)


def _best(scores: Any, count: int) -> Any:
    return np.argsort(-scores, -1, kind="stable")[:, :count].astype(np.int32)
