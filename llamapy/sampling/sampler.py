"""A sampler: stages in order, that turn logits into a token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import tables
from ..errors import UnsupportedError
from .candidates import Candidates
from .choosing import Greedy
from .stage import Stage

# tokens so far, and the logits: returns others, or changes these
LogitsProcessor: TypeAlias = Callable[[list[int], NDArray[np.float32]], Any]


@dataclass
class Processor(Stage):
    """A plain function of the tokens so far and all logits, which returns the logits to go on with.

    It has to come before stages that cut.
    """

    function: LogitsProcessor

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._tokens: list[int] = []

    def accept(self, token: int) -> None:
        self._tokens.append(token)

    def apply(self, candidates: Candidates) -> None:
        given = self.function(list(self._tokens), candidates.logits)
        logits = candidates.logits if given is None else np.asarray(given, np.float32)
        if logits.shape != candidates.logits.shape:
            raise UnsupportedError(
                f"a logits processor returned {logits.shape} for logits of shape "
                f"{candidates.logits.shape}: return as many as it was given"
            )
        candidates.set_logits(logits)


class Sampler(Sequence[Stage]):
    """Stages in their order: a list to read, print, compare, copy and edit.

    A stage of your own is a dataclass with `apply`; a plain function of the tokens so far and the
    logits does, too. If no stage chooses, the likeliest token is taken.

    >>> from llamapy.sampling import *
    >>> sampler = Sampler([TopK(2), Temperature(0.5), Draw(seed=7)])
    >>> sampler([0.0, 3.0, 1.0, 2.0])
    1
    >>> sampler.stages[0].k = 1
    >>> sampler
    Sampler([TopK(k=1), Temperature(t=0.5), Draw(seed=7)])
    """

    def __init__(self, stages: Iterable[Stage | LogitsProcessor] = ()) -> None:
        self.stages: list[Stage] = [_stage(each) for each in stages]

    @classmethod
    def from_options(cls, **options: Any) -> Sampler:
        """A sampler by the names that OpenAI's and llama.cpp's interfaces use; see `options`."""
        from .options import from_options

        return from_options(**options)

    def __call__(self, logits: ArrayLike | Candidates) -> int:
        """Choose a token, and remember it."""
        return self.choose(self.apply(logits))

    def choose(self, candidates: Candidates) -> int:
        """The token that the stages chose, or the likeliest that they left; it is remembered."""
        if candidates.selected is None:
            Greedy().apply(candidates)
        token = candidates.token
        if token is None:
            raise UnsupportedError(
                f"no token is left to choose from: a stage of {self} leaves none, or there were no "
                f"logits"
            )
        self.accept(token)
        return token

    def apply(self, logits: ArrayLike | Candidates) -> Candidates:
        """What the stages leave of these logits; nothing is remembered but random numbers drawn."""
        candidates = logits if isinstance(logits, Candidates) else Candidates(logits)
        for stage in self.stages:
            stage.apply(candidates)
        return candidates

    def accept(self, token: int) -> None:
        """Remember a token that was chosen, or stands in the prompt."""
        for stage in self.stages:
            stage.accept(token)

    def reset(self) -> None:
        """Forget all tokens, and begin the random numbers anew."""
        for stage in self.stages:
            stage.reset()

    def copy(self) -> Sampler:
        """The same, with what the stages remember; the two part from here."""
        return Sampler([stage.copy() for stage in self.stages])

    def trace(self, logits: ArrayLike, texts: Mapping[int, str] | None = None) -> Trace:
        """What each stage does to these logits. A copy does it: this sampler does not change."""
        candidates, steps = Candidates(logits), []
        steps.append(Traced("logits", candidates.copy()))
        for stage in self.copy():
            stage.apply(candidates)
            steps.append(Traced(repr(stage), candidates.copy()))
        return Trace(steps, texts or {})

    # ---- a list of stages

    def __len__(self) -> int:
        return len(self.stages)

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    @overload
    def __getitem__(self, index: int) -> Stage: ...
    @overload
    def __getitem__(self, index: slice) -> list[Stage]: ...
    def __getitem__(self, index: Any) -> Any:
        return self.stages[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sampler) and self.stages == other.stages

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Sampler([{', '.join(map(repr, self.stages))}])"

    def _repr_html_(self) -> str:
        about = [(type(stage).__doc__ or "").partition("\n")[0] for stage in self.stages]
        rows = [(repr(stage), text) for stage, text in zip(self.stages, about, strict=True)]
        return tables.as_html(rows, caption="tokens are chosen in these stages", left=2)


def _stage(given: Stage | LogitsProcessor) -> Stage:
    if isinstance(given, Stage):
        return given
    if not isinstance(given, type) and callable(given):
        return Processor(given)
    raise UnsupportedError(
        f"{given!r} is no stage: pass stages such as TopK(40), or functions of tokens and logits"
    )


# ---- looking


@dataclass(frozen=True)
class Traced:
    """The candidates after a stage."""

    stage: str
    candidates: Candidates


@dataclass(frozen=True)
class Trace(Sequence[Traced]):
    """What each stage did: how many tokens it left, and how likely the likeliest became."""

    steps: list[Traced]
    texts: Mapping[int, str]

    N_SHOWN = 5

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: Any) -> Any:
        return self.steps[index]

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Stage, tokens left, and the likeliest with their probabilities."""
        for step in self.steps:
            candidates = step.candidates
            possible = int(np.count_nonzero(candidates.logits != -np.inf))
            likely = candidates.largest(min(self.N_SHOWN, possible))
            weights = candidates.weights()
            shares = weights[likely] / max(weights.sum(dtype=np.float64), 1e-30)
            shown = [
                f"{self._name(int(candidates.ids[index]))} {share:.1%}"
                for index, share in zip(likely, shares, strict=True)
            ]
            if candidates.token is not None:
                shown.append(f"chosen: {self._name(candidates.token)}")
            yield step.stage, str(possible), ", ".join(shown)

    def _name(self, token: int) -> str:
        return f"{token} {self.texts[token]!r}" if token in self.texts else str(token)

    def __str__(self) -> str:
        table = [("stage", "tokens", "likeliest"), *self.rows()]
        widths = [max(len(row[i]) for row in table) for i in range(2)]
        return "\n".join(
            f"{name.ljust(widths[0])}  {count.rjust(widths[1])}  {likely}"
            for name, count, likely in table
        )

    def _repr_html_(self) -> str:
        return tables.as_html(self.rows(), ("stage", "tokens", "likeliest"), left=3)
