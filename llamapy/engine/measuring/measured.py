"""What a model is measured by: scores, perplexity, divergence from another, choices."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..quantizing.collect_imatrix import collect_imatrix
from ..quantizing.imatrix import Imatrix
from .choices import Choice, choose
from .kl_divergence import KLDivergence, kl_divergence
from .perplexity import Perplexity, perplexity
from .score import Score, score
from .teacher_forcing import N_BATCH

if TYPE_CHECKING:
    from ..model import Model


class Measuring:
    """Measuring on texts; mixed into `Model`."""

    def score(self: Any, texts: Any, *, n_batch: int = N_BATCH) -> Score | list[Score]:
        """How likely each token of each text is, given those before it.

        One score for each text, or for the one that was given; texts may be lists of token ids.
        """
        return score(self, texts, n_batch=n_batch)

    def perplexity(self: Any, text: Any, n_ctx: int = 512, **options: Any) -> Perplexity:
        """How well a text is predicted, in chunks of `n_ctx` tokens: see `perplexity.Perplexity`.

        Options are stride, n_chunks, n_batch and progress.
        """
        return perplexity(self, text, n_ctx=n_ctx, **options)

    def kl_divergence(
        self: Any, reference: Model | str | os.PathLike[str], text: Any = None, **options: Any
    ) -> KLDivergence:
        """How far this is from another model, or from its saved logits, on a text.

        Options are n_ctx, n_chunks, n_batch and progress.
        """
        return kl_divergence(self, reference, text, **options)

    def choose(self: Any, context: str, choices: Sequence[str]) -> Choice:
        """Which of the choices goes on best, by the mean log-probability of its tokens.

        They follow the context as they are: mind the space.
        """
        return choose(self, context, choices)

    def imatrix(self: Any, text: Any, n_ctx: int = 512, **options: Any) -> Imatrix:
        """The importance of the inputs of all matrices, on a text: what `quantize` takes.

        Options are n_chunks, first_chunk, process_output, special, dataset, onto, n_batch and
        progress: see `engine.collect_imatrix`.
        """
        return collect_imatrix(self, text, n_ctx=n_ctx, **options)
