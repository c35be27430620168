"""A sequence of tokens, computed one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from llamapy.cache import Batch

TOKENS = [3, 17, 5, 29, 11, 8]


def decoded(model) -> np.ndarray:
    """Logits of the tokens one by one, by replay; the first two make the plan and use it."""
    cache = model.cache(len(TOKENS), n_batch=1)
    return np.concatenate([model.run(cache, Batch.of([token])) for token in TOKENS])


def same_step(model) -> Callable[[], np.ndarray]:
    """What computes the logits of one token, always in the same step of one cache."""
    cache = model.cache(8, n_batch=1)

    def run() -> np.ndarray:
        logits = model.run(cache, Batch.of([7]))
        cache.remove(0, 0, cache.end())
        return logits

    return run
