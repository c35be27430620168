"""The likeliest tokens decide what is chosen, where a sampler says so."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy.sampling import (
    DRY,
    XTC,
    AdaptiveP,
    Candidates,
    Draw,
    DynamicTemperature,
    Greedy,
    LogitBias,
    MinP,
    Mirostat2,
    Penalties,
    Sampler,
    Temperature,
    TopK,
    TopNSigma,
    TopP,
    Typical,
)
from llamapy.sampling.enough import enough

IDLE = [LogitBias(), Penalties(), DRY(), TopNSigma()]


class Other(TopK):
    """Keeps the unlikeliest."""

    def apply(self, candidates):
        candidates.set_logits(-candidates.logits)
        super().apply(candidates)


def function(tokens, logits):
    return logits


FEW = [
    ([], 1),
    ([Greedy()], 1),
    ([Penalties(), Greedy()], 1),
    ([TopK(40), TopP(0.95), MinP(0.05), Temperature(0.8), Draw(3)], 40),
    ([TopK(12), Temperature(0.0), Draw(3)], 12),
    ([*IDLE, TopK(0), TopK(7), Typical(0.9), XTC(0.5, 0.05, seed=1), Draw(3)], 7),
    ([TopK(9), Penalties(repeat=1.3, frequency=0.2), TopNSigma(1.0), Draw(3)], 9),
    ([TopK(30), DynamicTemperature(0.8, 0.5), AdaptiveP(0.3, seed=3)], 30),
    ([TopK(20), LogitBias({4: 2.0}), Mirostat2(3)], 20),
]
ALL = [
    [Temperature(0.8), TopK(40), Draw(3)],
    [Draw(3)],
    [TopK(0), TopP(0.9), Draw(3)],
    [MinP(0.1), Draw(3)],
    [Penalties(repeat=1.1), TopK(40), Draw(3)],
    [Penalties(presence=0.1), Greedy()],
    [DRY(0.5), TopK(40), Draw(3)],
    [TopNSigma(1.0), TopK(40), Draw(3)],
    [LogitBias({4: 1.0}), TopK(40), Draw(3)],
    [function, TopK(40), Draw(3)],
    [Other(5), Draw(3)],
    [XTC(0.5), TopK(40), Draw(3)],
]


@pytest.mark.parametrize(("stages", "count"), FEW, ids=lambda each: None)
def test_the_likeliest_are_enough(stages, count):
    whole = Sampler(stages)
    assert enough(whole) == count
    few, random = whole.copy(), np.random.default_rng(0)
    for turn in range(40):
        logits = 3 * random.standard_normal(300).astype(np.float32)
        if turn % 2:
            logits = np.round(logits)  # with equals, and zeros of both signs
        best = np.argsort(-logits, kind="stable")[: count + turn % 3]
        assert few(Candidates.likeliest(best.astype(np.float32), logits[best])) == whole(logits)


@pytest.mark.parametrize("stages", ALL, ids=lambda each: "-".join(type(s).__name__ for s in each))
def test_all_are_needed(stages):
    assert enough(Sampler(stages)) is None
