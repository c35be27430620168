"""Stages that change logits, whatever was said before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .candidates import Candidates, log
from .stage import Stage


@dataclass
class LogitBias(Stage):
    """Add to the logits of some tokens; -inf forbids one."""

    bias: Mapping[int, float] | Sequence[tuple[int, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pairs = self.bias.items() if isinstance(self.bias, Mapping) else self.bias
        sums: dict[int, np.float32] = {}
        for token, amount in pairs:
            sums[token] = sums.get(token, np.float32(0)) + np.float32(amount)
        self._ids = np.array(list(sums), np.int32)
        self._amounts = np.array(list(sums.values()), np.float32)

    def apply(self, candidates: Candidates) -> None:
        if len(self._ids):
            candidates.add(self._ids, self._amounts)


@dataclass
class Temperature(Stage):
    """Divide logits by t: below 1 the likely gets likelier. With 0, only the likeliest is left."""

    t: float = 0.8

    def apply(self, candidates: Candidates) -> None:
        _cool(candidates, np.float32(self.t))


@dataclass
class DynamicTemperature(Stage):
    """A temperature from t - delta to t + delta: the higher, the less certain the choice is.

    It grows with the entropy, of which it takes a power.
    """

    t: float = 0.8
    delta: float = 0.0
    exponent: float = 1.0

    def apply(self, candidates: Candidates) -> None:
        if self.delta <= 0:
            _cool(candidates, np.float32(self.t))
            return
        if len(candidates) <= 1:
            return
        low = np.float32(max(0.0, self.t - self.delta))
        high = np.float32(self.t) + np.float32(self.delta)
        candidates.sort()
        probs = candidates.softmax()
        possible = probs[probs > 0]
        entropy = -np.add.accumulate(possible * log(possible), dtype=np.float32)[-1]
        share = entropy / -log(np.float32(1) / np.float32(len(candidates)))
        _cool(candidates, low + (high - low) * share ** np.float32(self.exponent))
        with np.errstate(under="ignore"):
            weights = np.exp(candidates.logits.astype(np.float64) - candidates.logits[0])
        candidates.set_probs((weights / weights.sum()).astype(np.float32))


def _cool(candidates: Candidates, t: np.float32) -> None:
    logits = candidates.logits
    if t > 0:
        candidates.set_logits(logits / t, order_kept=True)
    elif len(candidates):
        best = int(logits.argmax())
        only = np.full_like(logits, -np.inf)
        only[best] = logits[best]
        candidates.set_logits(only, order_kept=True)
