"""Perplexity: how many tokens a model wavers between on average, on a text.

Measured as llama-perplexity does: the text is cut in chunks, each is computed by itself, and only
the tokens of its second half count, for those of the first have little to go by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ...errors import Cancelled
from ..generating.chunks import Chunks, chunked
from .teacher_forcing import N_BATCH, Doubles, Floats, Run, target_logprobs, teacher_forced

if TYPE_CHECKING:
    from ..model import Model

# called with the chunks that are done and all there are; False stops the measurement
Progress: TypeAlias = Callable[[int, int], object]


@dataclass(frozen=True, eq=False)
class Perplexity:
    """The perplexity of a text, give or take `uncertainty` (one standard error)."""

    value: float
    uncertainty: float
    n_tokens: int  # that count
    chunks: Doubles  # each chunk's own perplexity
    n_ctx: int

    @classmethod
    def of(cls, surprises: Sequence[Doubles], n_ctx: int) -> Perplexity:
        """From the negative log-probabilities of each chunk's tokens."""
        every = np.concatenate(surprises)
        mean, error = mean_and_error(every)
        value = math.exp(mean)
        own = np.exp([chunk.mean() for chunk in surprises])
        return cls(value, value * error, len(every), own, n_ctx)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.4f} +/- {self.uncertainty:.5f}"

    def __repr__(self) -> str:
        return (
            f"<Perplexity {self}, of {self.n_tokens} tokens in {len(self.chunks)} chunks of "
            f"{self.n_ctx}>"
        )

    def _repr_html_(self) -> str:
        return (
            f"<div><b>perplexity {self.value:.4f}</b> ± {self.uncertainty:.4f}<br>"
            f"<small>{self.n_tokens} tokens in {len(self.chunks)} chunks of {self.n_ctx}; chunks "
            f"from {self.chunks.min():.3f} to {self.chunks.max():.3f}</small></div>"
        )


def perplexity(
    model: Model,
    text: Any,
    *,
    n_ctx: int = 512,
    stride: int = 0,
    n_chunks: int | None = None,
    n_batch: int = N_BATCH,
    progress: Progress | None = None,
) -> Perplexity:
    """The perplexity of a text, or of token ids, in chunks of `n_ctx` tokens.

    With a stride, chunks overlap, and the last so many tokens of each count.
    """
    chunks = chunked(model, text, n_ctx, stride=stride, n_chunks=n_chunks)
    found: list[Doubles] = []
    for surprise in surprises(model, chunks, n_batch=n_batch):
        found.append(surprise)
        report(progress, len(found), len(chunks.chunks))
    return Perplexity.of(found, n_ctx)


def surprises(
    model: Model, chunks: Chunks, *, n_batch: int = N_BATCH, run: Run | None = None
) -> Iterator[Doubles]:
    """The negative log-probabilities of each chunk's tokens that count, chunk by chunk."""
    for number, pieces in chunk_logits(model, chunks, n_batch=n_batch, run=run):
        targets, found, done = chunks.targets(number), [], 0
        for logits in pieces:
            found.append(-target_logprobs(logits, targets[done : done + len(logits)]))
            done += len(logits)
        yield np.concatenate(found)


def chunk_logits(
    model: Model, chunks: Chunks, *, n_batch: int = N_BATCH, run: Run | None = None
) -> Iterator[tuple[int, Iterator[Floats]]]:
    """For each chunk its number, and the logits of its tokens that count, in pieces.

    All pieces of a chunk must be taken before the next one's.
    """
    firsts = [chunks.first] * len(chunks.chunks)
    forced = teacher_forced(model, chunks.chunks, firsts, n_batch=n_batch, run=run)

    def pieces() -> Iterator[Floats]:
        left = chunks.n_counted
        while left:
            logits = next(forced).logits
            left -= len(logits)
            yield logits

    for number in range(len(chunks.chunks)):
        yield number, pieces()


def mean_and_error(values: Doubles) -> tuple[float, float]:
    """The mean, and its standard error."""
    mean = float(values.mean())
    variance = float((values**2).mean()) - mean**2
    n = len(values)
    return mean, math.sqrt(variance / (n - 1)) if variance > 0 and n > 1 else 0.0


def report(progress: Progress | None, done: int, total: int) -> None:
    """Tell how far it is, and stop if that is wanted."""
    if progress is not None and progress(done, total) is False:
        raise Cancelled(f"measuring was stopped by its progress callback after {done} chunks")
