"""A stage: one step of a sampler."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from .candidates import Candidates
from .random import Random

Self = TypeVar("Self", bound="Stage")


@dataclass
class Stage:
    """What a sampler is made of; a dataclass whose fields are its options.

    `apply` changes the candidates. `accept` hears of each token that was chosen, and `reset` begins
    a new text: only stages that remember something need these.
    """

    def apply(self, candidates: Candidates) -> None:
        """Shrink or reweigh the candidates, or choose one."""
        raise NotImplementedError(f"{type(self).__name__} has no apply: write one")

    @classmethod
    def apply_rows(cls, stages: Sequence[Stage | None], rows: Sequence[Candidates]) -> None:
        """Each stage on its row; a row may have none. Some stages do all rows at once."""
        for stage, candidates in zip(stages, rows, strict=True):
            if stage is not None:
                stage.apply(candidates)

    def accept(self, token: int) -> None:
        """A token was chosen."""

    def reset(self) -> None:
        """A new text begins."""

    def copy(self: Self) -> Self:
        """The same, with what it remembers; they part from here."""
        return copy.deepcopy(self)


class Seeded:
    """Part of a stage with a field `seed`: its random numbers start again with each text."""

    seed: int | None

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.random = Random(self.seed)


def draw(candidates: Candidates, random: Random) -> int:
    """The index of a candidate, drawn by the probabilities; a single one needs no draw."""
    if len(candidates) < 2:
        return 0
    probs = candidates.probs.astype(np.float64)
    total = np.add.accumulate(probs)[-1]
    reached = np.add.accumulate(probs / total)
    reached[-1] = 1.0
    return int(np.searchsorted(reached, random.double()))
