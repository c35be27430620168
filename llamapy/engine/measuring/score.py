"""Scoring: how likely a model finds each token of a text, given those before it."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..generating.texts import ids_of_all, is_one_text, pieces_of
from .teacher_forcing import N_BATCH, Doubles, target_logprobs, teacher_forced

if TYPE_CHECKING:
    from ..model import Model


@dataclass(frozen=True, eq=False)
class Score:
    """Log-probabilities [n] of the tokens of a text. The first is NaN: nothing stands before it."""

    tokens: list[int]
    logprobs: Doubles
    pieces: list[str] = field(repr=False)  # what each token stands for, or its number

    @property
    def total(self) -> float:
        """The log-probability of the text, given its first token."""
        return float(self.logprobs[1:].sum())

    @property
    def mean(self) -> float:
        """Of a token; NaN if there is only one."""
        return self.total / (len(self.tokens) - 1) if len(self.tokens) > 1 else math.nan

    @property
    def perplexity(self) -> float:
        return math.exp(-self.mean)

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"<Score of {len(self)} tokens: total {self.total:.4f}, mean {self.mean:.4f}>"

    def _repr_html_(self) -> str:
        shown = "".join(
            f'<span title="{logprob:.3f}" style="background:{_colour(logprob)}">'
            f"{html.escape(piece)}</span>"
            for piece, logprob in zip(self.pieces, self.logprobs.tolist(), strict=True)
        )
        return (
            f'<div><div style="white-space:pre-wrap">{shown}</div>'
            f"<small>{len(self)} tokens, total {self.total:.3f}, mean {self.mean:.3f}</small></div>"
        )


def score(model: Model, texts: Any, *, n_batch: int = N_BATCH) -> Score | list[Score]:
    """One score for each text, or for the one that was given; texts may be lists of token ids.

    What the file says stands around a text is put there, and is scored as well.
    """
    ids = ids_of_all(model, texts)
    logprobs = [np.full(len(tokens), np.nan) for tokens in ids]
    for piece in teacher_forced(model, ids, n_batch=n_batch):
        after = slice(piece.start + 1, piece.start + 1 + len(piece.logits))
        logprobs[piece.text][after] = target_logprobs(piece.logits, ids[piece.text][after])
    scores = [
        Score(tokens, row, pieces_of(model, tokens))
        for tokens, row in zip(ids, logprobs, strict=True)
    ]
    return scores[0] if is_one_text(texts) else scores


def _colour(logprob: float) -> str:
    """White for what was certain, red for what was not expected at all."""
    surprise = 0.0 if math.isnan(logprob) else min(1.0, -logprob / 10)
    return f"rgba(220, 50, 47, {0.7 * surprise:.2f})"


__all__: Sequence[str] = ["Score", "score"]
