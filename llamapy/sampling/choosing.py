"""Stages that choose a token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .candidates import Candidates
from .stage import Seeded, Stage


@dataclass
class Greedy(Stage):
    """Choose the likeliest token; of equal ones the first."""

    def apply(self, candidates: Candidates) -> None:
        if len(candidates):
            candidates.choose(int(candidates.logits.argmax()))


@dataclass
class Draw(Seeded, Stage):
    """Choose a token at random, by its probability. Without a seed, differently each time."""

    seed: int | None = None

    def apply(self, candidates: Candidates) -> None:
        if not len(candidates):
            return
        drawn = self.random.double()  # a single candidate uses up a number, too
        weights = candidates.weights()
        reached = np.add.accumulate(weights, dtype=np.float64)
        candidates.set_probs((weights / reached[-1]).astype(np.float32))
        candidates.choose(int(np.searchsorted(reached, reached[-1] * drawn)))
