"""What `bench` times: a prompt, tokens one after the other, or both, at a depth."""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..errors import LlamapyError, UnsupportedError

if TYPE_CHECKING:
    from ..engine.model import Model


@dataclass(frozen=True)
class Trial:
    """So many tokens of a prompt, then so many that are generated, behind so many others."""

    prompt: int
    generated: int
    depth: int

    @property
    def name(self) -> str:
        """As llama-bench writes it."""
        parts = [f"pp{self.prompt}"] * (self.prompt > 0) + [f"tg{self.generated}"] * (
            self.generated > 0
        )
        return "+".join(parts) + (f" @ d{self.depth}" if self.depth else "")

    @property
    def n_tokens(self) -> int:
        return self.prompt + self.generated

    @property
    def room(self) -> int:
        """Tokens that have to be remembered."""
        return self.depth + self.n_tokens


@dataclass
class Timing:
    """The seconds of each repetition of a test."""

    test: Trial
    seconds: list[float] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Tokens per second of each."""
        return [self.test.n_tokens / each for each in self.seconds]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.rates)

    @property
    def spread(self) -> float:
        """The standard deviation."""
        return statistics.stdev(self.rates) if len(self.rates) > 1 else 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.rates)


class Side(ABC):
    """An engine with a model."""

    @abstractmethod
    def time(self, test: Trial) -> float:
        """The seconds of a test."""


class Llamapy(Side):
    """Ours. Sampling is left out, as in llama-bench."""

    def __init__(self, model: Model, n_batch: int) -> None:
        from ..models import EncoderDecoder

        if isinstance(model.decoder, EncoderDecoder):
            raise UnsupportedError(
                "bench times models that read and write with the same layers, and this one has an "
                "encoder beside its decoder: choose another model"
            )
        self.model, self.n_batch = model, n_batch
        self.room, self.depth = 0, 0  # of the cache that is there

    def time(self, test: Trial) -> float:
        self._go_to(test)
        rng = np.random.default_rng(1)
        tokens = rng.integers(0, self.model.decoder.n_vocab, test.n_tokens).tolist()
        start = time.perf_counter()
        self._compute(tokens[: test.prompt])
        for token in tokens[test.prompt :]:
            self._compute([token])
        return time.perf_counter() - start

    def _go_to(self, test: Trial) -> None:
        """Remember as many tokens as the test's depth, and no more."""
        from ..cache.whole import WholeCache

        if test.generated and issubclass(self.model.decoder.Memory, WholeCache):
            raise UnsupportedError(
                f"{type(self.model.decoder).__name__} sees a text as a whole and generates none: "
                f"pass -n 0"
            )
        if self.room < test.room:
            self.cache = self.model.cache(test.room, n_batch=min(self.n_batch, test.room))
            self.room, self.depth = test.room, 0
        if self.depth == test.depth and self._forget_from(test.depth):
            return
        self.cache.remove(0)
        tokens = np.random.default_rng(2).integers(0, self.model.decoder.n_vocab, test.depth)
        self._compute(tokens.tolist(), logits="none")
        self.depth = test.depth

    def _forget_from(self, depth: int) -> bool:
        try:
            self.cache.remove(0, depth)
        except LlamapyError:  # a recurrent state, which cannot go back so far
            return False
        return True

    def _compute(self, tokens: list[int], logits: str = "last") -> None:
        from ..cache import Batch

        n = self.cache.n_batch
        for start in range(0, len(tokens), n):
            last = start + n >= len(tokens)
            batch = Batch.of(tokens[start : start + n], logits=logits if last else "none")
            self.model.run(self.cache, batch)


def measure(
    test: Trial, sides: dict[str, Side], repetitions: int, warm: bool = True
) -> dict[str, Timing]:
    """The test on each side, in turns, so that what else the machine does is shared out."""
    timings = {name: Timing(test) for name in sides}
    if warm:
        for side in sides.values():
            side.time(test)
    for turn in range(repetitions):
        names = list(sides) if turn % 2 == 0 else list(reversed(sides))
        for name in names:
            timings[name].seconds.append(sides[name].time(test))
    return timings


def trials(
    prompts: list[int], generated: list[int], both: list[tuple[int, int]], depths: list[int]
) -> Iterator[Trial]:
    """All of them, those of one depth after each other, so that it is filled once."""
    for depth in depths:
        yield from (Trial(n, 0, depth) for n in prompts if n)
        yield from (Trial(0, n, depth) for n in generated if n)
        yield from (Trial(*pair, depth) for pair in both if any(pair))


def ratio(timings: dict[str, Timing], first: str, second: str) -> float:
    """How much faster the first side is than the second: of their median repetitions."""
    return timings[first].median / timings[second].median
