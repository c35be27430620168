"""Multiple choice: which of several endings a model finds likeliest after a text.

An ending counts by the mean log-probability of its tokens, so that long ones are not worse off.
What the texts of a task begin with alike is computed once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...cache import Batch, Cache
from ...errors import ShapeError, UnsupportedError
from ..generating.texts import ids_of
from .perplexity import Progress, report
from .tasks import Task
from .teacher_forcing import N_BATCH, Doubles, check_forcing, target_logprobs

if TYPE_CHECKING:
    from ..model import Model

NORMAL_95 = 1.95996398454  # 95% of a normal distribution lies within so many deviations


@dataclass(frozen=True, eq=False)
class Choice:
    """How likely each choice is: the mean log-probability of its tokens, and of all of them."""

    choices: tuple[str, ...]
    means: Doubles
    totals: Doubles

    @property
    def best(self) -> int:
        """The number of the likeliest choice, by the mean; the first of those that are alike."""
        return int(self.means.argmax())

    @property
    def probabilities(self) -> Doubles:
        """How likely each choice is as a whole, if it must be one of them."""
        likely: Doubles = np.exp(self.totals - self.totals.max())
        return likely / likely.sum()

    def __str__(self) -> str:
        return self.choices[self.best]

    def __repr__(self) -> str:
        means = ", ".join(f"{mean:.4f}" for mean in self.means)
        return f"<Choice {str(self)!r} of {len(self.choices)}: means {means}>"


@dataclass(frozen=True, eq=False)
class Accuracy:
    """How many tasks were answered rightly."""

    correct: list[bool]
    chance: float  # the share that guessing gets right

    @property
    def value(self) -> float:
        return sum(self.correct) / len(self.correct)

    @property
    def uncertainty(self) -> float:
        """One standard error."""
        return math.sqrt(self.value * (1 - self.value) / max(1, len(self.correct) - 1))

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval: where the true share lies, with 95%."""
        n, share = len(self.correct), self.value
        z = NORMAL_95**2 / n
        half = z * math.sqrt(n * (4 * share * (1 - share) + z)) / (2 * NORMAL_95)
        return (share + z / 2 - half) / (1 + z), (share + z / 2 + half) / (1 + z)

    def __str__(self) -> str:
        return f"{100 * self.value:.4f}% +/- {100 * self.uncertainty:.4f}%"

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"<Accuracy {self.value:.2%} of {len(self.correct)} tasks (95%: {low:.2%} to "
            f"{high:.2%}; by chance {self.chance:.2%})>"
        )


def choose(model: Model, context: str, choices: Sequence[str]) -> Choice:
    """Which of the choices goes on best. They follow the context as they are: mind the space."""
    if len(choices) < 2:
        raise ShapeError(f"there are {len(choices)} choices: pass at least 2")
    task = Task(tuple(context + choice for choice in choices), tuple(choices), frozenset())
    return next(answers(model, [task]))


def accuracy(
    model: Model,
    tasks: Sequence[Task],
    *,
    n_batch: int = N_BATCH,
    progress: Progress | None = None,
) -> Accuracy:
    """How many tasks a model answers rightly."""
    correct: list[bool] = []
    for task, choice in zip(tasks, answers(model, tasks, n_batch=n_batch), strict=True):
        correct.append(choice.best in task.right)
        report(progress, len(correct), len(tasks))
    return Accuracy(correct, chance(tasks))


def chance(tasks: Sequence[Task]) -> float:
    """The share of tasks that guessing gets right."""
    return sum(len(task.right) / len(task.choices) for task in tasks) / len(tasks)


def answers(model: Model, tasks: Sequence[Task], *, n_batch: int = N_BATCH) -> Iterator[Choice]:
    """What a model chooses, task by task; short tasks are computed together."""
    check_forcing(model)
    if not tasks:
        raise ShapeError("there are no tasks: pass at least one")
    group: list[_Prepared] = []
    for task in tasks:
        prepared = _Prepared(model, task)
        if group and sum(p.n_tokens for p in group) + prepared.n_tokens > n_batch:
            yield from _answered(model, group)
            group = []
        group.append(prepared)
    yield from _answered(model, group)


class _Prepared:
    """A task in tokens: what all texts begin with, and the rest of each."""

    def __init__(self, model: Model, task: Task) -> None:
        self.task = task
        texts = [ids_of(model, text) for text in task.texts]
        shortest = min(map(len, texts))
        if shortest < 2 or len({text[0] for text in texts}) > 1:
            raise UnsupportedError(
                f"{task.texts[0]!r} has nothing before the choice to judge it by: give a context"
            )
        if max(map(len, texts)) > model.n_ctx:
            raise UnsupportedError(
                f"a task has {max(map(len, texts))} tokens, and this model is loaded with a "
                f"context of {model.n_ctx}: load it with a larger n_ctx"
            )
        # each text has at least one token of its own
        alike = 1
        while alike < shortest - 1 and len({text[alike] for text in texts}) == 1:
            alike += 1
        self.texts, self.alike = texts, alike
        self.counted = task.counted(lambda text: len(ids_of(model, text)), texts, alike)

    @property
    def n_tokens(self) -> int:
        return self.alike + sum(len(text) - self.alike for text in self.texts)


def _answered(model: Model, group: Sequence[_Prepared]) -> Iterator[Choice]:
    firsts = np.cumsum([0, *(len(prepared.texts) for prepared in group)]).tolist()
    longest = max(len(text) for prepared in group for text in prepared.texts)
    cache = model.cache(
        longest, n_sequences=firsts[-1], n_batch=sum(prepared.n_tokens for prepared in group)
    )
    beginnings = [
        Batch.of(prepared.texts[0][: prepared.alike], first)
        for prepared, first in zip(group, firsts, strict=False)
    ]
    first_rows = model.run(cache, Batch.joined(beginnings))  # a row for each task
    endings = list(_endings(cache, group, firsts))
    rows = model.run(cache, Batch.joined(endings)) if endings else first_rows[:0]
    for prepared, first_row in zip(group, first_rows, strict=True):
        means, totals = [], []
        for text, (start, stop) in zip(prepared.texts, prepared.counted, strict=True):
            own = text[prepared.alike :]
            logits = np.concatenate([first_row[None], rows[: len(own) - 1]])
            rows = rows[len(own) - 1 :]
            logprobs = target_logprobs(logits, own)
            part = logprobs[start - prepared.alike : stop - prepared.alike]
            means.append(part.mean())
            totals.append(part.sum())
        yield Choice(prepared.task.choices, np.array(means), np.array(totals))


def _endings(cache: Cache, group: Sequence[_Prepared], firsts: Sequence[int]) -> Iterator[Batch]:
    """What is left of each text but its last token, of which nothing is asked."""
    for prepared, first in zip(group, firsts, strict=False):
        for number in range(len(prepared.texts)):
            cache.copy(first, first + number)
        for number, text in enumerate(prepared.texts):
            if len(text) > prepared.alike + 1:
                yield Batch.of(text[prepared.alike : -1], first + number, logits="all")
