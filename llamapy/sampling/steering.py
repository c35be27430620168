"""Stages that choose a token so that the text stays as surprising as wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .candidates import Candidates, log
from .stage import Seeded, Stage, draw


class _Mirostat(Seeded):
    """What both versions share: a limit of surprise that follows what was observed."""

    tau: float
    eta: float

    def reset(self) -> None:
        super().reset()
        self.limit = np.float32(2 * self.tau)

    def _choose(self, candidates: Candidates) -> None:
        probs = candidates.softmax()
        index = draw(candidates, self.random)
        candidates.choose(index)
        surprise = -np.log2(probs[index])
        self.limit = self.limit - np.float32(self.eta) * (surprise - np.float32(self.tau))


@dataclass
class Mirostat(_Mirostat, Stage):
    """Keep the surprise at tau bits: an estimate of how steep the distribution is sets a top-k.

    Basu et al., Mirostat, 2020. `eta` is how fast it follows, `m` how many tokens it looks at, and
    `n_vocab` the number of all tokens, by default those that are in play.
    """

    seed: int | None = None
    tau: float = 5.0
    eta: float = 0.1
    m: int = 100
    n_vocab: int | None = None

    def apply(self, candidates: Candidates) -> None:
        if not len(candidates):
            return
        n = np.float32(self.n_vocab or len(candidates))
        candidates.sort()
        probs = candidates.softmax()[: self.m]
        one = np.float32(1)
        with np.errstate(all="ignore"):
            ranks = np.arange(1, len(probs), dtype=np.float32)
            steps = log((ranks + one) / ranks)
            falls = log(probs[:-1] / probs[1:])
            slope = _sum(steps * falls) / _sum(steps * steps)
            excess = slope - one
            power = excess * np.float32(2) ** self.limit / (one - n**-excess)
            k = power ** (one / slope)
        # a number that fits no int32 becomes its least one in llama.cpp, and so 1
        count = int(k) if 1 <= k < 2**31 else 1
        candidates.sort(min(count, len(candidates)))
        self._choose(candidates)


def _sum(values: np.ndarray) -> np.float32:
    return np.add.accumulate(values)[-1] if len(values) else np.float32(0)


@dataclass
class Mirostat2(_Mirostat, Stage):
    """Keep the surprise at tau bits: tokens more surprising than a limit are left out."""

    seed: int | None = None
    tau: float = 5.0
    eta: float = 0.1

    def apply(self, candidates: Candidates) -> None:
        if not len(candidates):
            return
        candidates.sort()
        with np.errstate(divide="ignore"):
            surprising = -np.log2(candidates.softmax()) > self.limit
        count = int(surprising.argmax()) if surprising.any() else len(candidates)
        candidates.keep(slice(max(1, count)))
        self._choose(candidates)


@dataclass
class AdaptiveP(Seeded, Stage):
    """Choose tokens whose probability is about the target, on an average over the last ones.

    A negative target only draws. It must be the last stage.
    """

    target: float = -1.0
    decay: float = 0.9
    seed: int | None = None

    def reset(self) -> None:
        super().reset()
        decay = np.float32(min(max(self.decay, 0.0), 0.99))
        self._decay = decay
        self._weight = np.float32(1) / (np.float32(1) - decay)
        self._sum = np.float32(self.target) / (np.float32(1) - decay)
        self._chosen: tuple[int, np.float32] | None = None

    def apply(self, candidates: Candidates) -> None:
        if not len(candidates):
            return
        probs = candidates.softmax()
        if self.target < 0:
            candidates.choose(draw(candidates, self.random))
            return
        one, target = np.float32(1), np.float32(min(self.target, 1.0))
        wanted = np.clip(np.float32(2) * target - self._sum / self._weight, 0, 1)
        distance = np.abs((probs - wanted) * (one / np.float32(0.3)))
        logits = np.float32(5) - np.float32(10) * distance * distance / (one + distance)
        possible = candidates.logits != -np.inf
        candidates.set_logits(np.where(possible, logits, -np.inf).astype(np.float32))
        candidates.softmax()
        index = draw(candidates, self.random)
        candidates.choose(index)
        self._chosen = int(candidates.ids[index]), probs[index]

    def accept(self, token: int) -> None:
        if self._chosen is not None and self._chosen[0] == token:
            self._sum = self._chosen[1] + self._decay * self._sum
            self._weight = np.float32(1) + self._decay * self._weight
        self._chosen = None
