"""Stages that leave only likely tokens in play."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .candidates import Candidates, log, running_sum, sort_rows
from .stage import Seeded, Stage


@dataclass
class TopK(Stage):
    """Keep the k likeliest tokens; 0 or less keeps all."""

    k: int = 40

    def apply(self, candidates: Candidates) -> None:
        if self.k > 0:
            candidates.sort(min(self.k, len(candidates)))

    @classmethod
    def apply_rows(cls, stages: Sequence[Any], rows: Sequence[Candidates]) -> None:
        if cls is not TopK:  # a kind of its own may cut in another way
            super().apply_rows(stages, rows)
        else:
            pairs = zip(rows, stages, strict=True)
            sort_rows([(row, stage.k) for row, stage in pairs if stage.k > 0])


@dataclass
class TopP(Stage):
    """Keep the fewest likeliest tokens whose probabilities reach p; at least `min_keep`."""

    p: float = 0.95
    min_keep: int = 0

    def apply(self, candidates: Candidates) -> None:
        if self.p >= 1:
            return
        probs, size = candidates.softmax(), len(candidates)
        count = size if candidates.is_sorted or size <= 1024 else 256
        while True:
            order: Any = slice(None) if candidates.is_sorted else candidates.largest(count)
            reached = np.add.accumulate(probs[order], dtype=np.float32) >= np.float32(self.p)
            reached[: max(0, min(self.min_keep, count) - 1)] = False
            if reached.any() or count == size:
                break
            count = size
        last = int(reached.argmax()) + 1 if reached.any() else size
        if candidates.is_sorted:
            candidates.keep(slice(last))
        else:
            candidates.keep(order[:last])
            candidates.is_sorted = True


@dataclass
class MinP(Stage):
    """Keep the tokens whose probability is at least p times the likeliest one's."""

    p: float = 0.05
    min_keep: int = 0

    def apply(self, candidates: Candidates) -> None:
        if self.p <= 0 or not len(candidates):
            return
        enough = candidates.logits >= candidates.highest() + log(np.float32(self.p))
        if np.count_nonzero(enough) < self.min_keep:
            candidates.sort(min(self.min_keep, len(candidates)))
        else:
            candidates.keep(enough)


@dataclass
class Typical(Stage):
    """Keep tokens about as surprising as the choice is on average, until they reach p.

    Meister et al., Locally Typical Sampling, 2022.
    """

    p: float = 1.0
    min_keep: int = 0

    def apply(self, candidates: Candidates) -> None:
        if self.p >= 1:
            return
        candidates.sort()
        probs = candidates.softmax()
        surprise = -log(probs)
        with np.errstate(invalid="ignore"):
            entropy = running_sum(probs * surprise)
        order = np.argsort(np.abs(surprise - entropy), kind="stable")
        reached = np.add.accumulate(probs[order], dtype=np.float32) > np.float32(self.p)
        reached[: max(0, self.min_keep - 1)] = False
        candidates.keep(order[: int(reached.argmax()) + 1] if reached.any() else order)


@dataclass
class TopNSigma(Stage):
    """Rule out tokens whose logit is more than n standard deviations below the highest.

    Tang et al., Top-n-sigma: Not All Logits Are You Need, 2024.
    """

    n: float = -1.0

    def apply(self, candidates: Candidates) -> None:
        if self.n <= 0 or len(candidates) <= 1:
            return
        logits = candidates.logits
        finite = logits[logits != -np.inf]
        deviation = np.float32(0)
        if finite.size:
            mean = running_sum(finite) / np.float32(finite.size)
            squares = np.square((finite - mean).astype(np.float64))
            deviation = np.sqrt(running_sum(squares.astype(np.float32)) / np.float32(finite.size))
        least = logits.max() - np.float32(self.n) * deviation
        candidates.set_logits(
            np.where(logits < least, -np.inf, logits).astype(np.float32), order_kept=True
        )


@dataclass
class XTC(Seeded, Stage):
    """Sometimes leave out the likeliest tokens: all that reach the threshold, but the last of them.

    Exclude Top Choices, by the author of DRY, 2024.
    """

    probability: float = 0.0
    threshold: float = 0.1
    min_keep: int = 0
    seed: int | None = None

    def apply(self, candidates: Candidates) -> None:
        if self.probability <= 0 or self.threshold > 0.5 or len(candidates) < 2:
            return
        if self.random.single() > np.float32(self.probability):
            return
        candidates.sort()
        likely = candidates.softmax() >= np.float32(self.threshold)
        last = int(np.count_nonzero(likely)) - 1
        if last > 0 and len(candidates) - last >= self.min_keep:
            candidates.keep(slice(last, None))
