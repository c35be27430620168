"""Guessing how a text goes on, so that one pass over the model checks several tokens.

    model.generate(prompt, draft=PromptLookup())
    model.generate(prompt, draft=DraftModel(llamapy.load("small.gguf")))

What comes out is what would come out without guesses: each token is chosen as always, and a guess
only counts if it is that token (Leviathan et al., arXiv:2211.17192, with the choice as the test).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...cache import Batch, Cache
from ...cache.whole import WholeCache
from ...errors import UnsupportedError
from ...models import EncoderDecoder
from ..likeliest import candidates_of

if TYPE_CHECKING:
    from ..model import Model

SMALLEST_CONTEXT = 512  # of a draft's cache


class PromptLookup:
    """Guesses that what was said before is said again: good for summaries, edits and code.

    The last tokens, `ngram` of them or as few as `least`, are looked for in the text before, and
    the `n` that followed there are the guess. It has no state, and may serve many texts at a time.
    """

    def __init__(self, ngram: int = 3, n: int = 8, *, least: int = 1) -> None:
        if not 1 <= least <= ngram:
            raise UnsupportedError(
                f"{least} to {ngram} tokens cannot be looked for: pass 1 <= least <= ngram"
            )
        self.ngram, self.n, self.least = ngram, _positive(n), least

    def propose(self, tokens: list[int]) -> list[int]:
        """What followed the latest occurrence of the longest ending that was there before."""
        known = np.asarray(tokens)
        for size in range(min(self.ngram, len(known) - 1), self.least - 1, -1):
            before = sliding_window_view(known[:-1], size)
            (found,) = np.nonzero((before == known[-size:]).all(-1))
            if len(found):
                followed = known[found[-1] + size :]
                # what reaches the end goes round: it may be repeated as often as one likes
                return np.resize(followed, self.n).tolist()
        return []

    def __repr__(self) -> str:
        return f"PromptLookup(ngram={self.ngram}, n={self.n})"


class DraftModel:
    """Guesses what a smaller model of the same vocabulary would say: its likeliest tokens.

    It guesses up to `n`, and no further where its best token is less likely than `p_min`. It has
    a cache of its own, and serves one text at a time: give each request its own.
    """

    def __init__(self, model: Model, n: int = 4, *, p_min: float = 0.0) -> None:
        decoder = model.decoder
        if issubclass(decoder.Memory, WholeCache) or isinstance(decoder, EncoderDecoder):
            raise UnsupportedError(
                f"{type(decoder).__name__} cannot go on with any text, token by token: choose "
                f"another model for drafts"
            )
        if not 0 <= p_min <= 1:
            raise UnsupportedError(f"p_min is {p_min}: pass a probability, from 0 to 1")
        self.model, self.n, self.p_min = model, _positive(n), p_min
        self._cache: Cache | None = None
        self._known: list[int] = []  # what the cache remembers
        self._key: Any = None  # the adapters and vectors that it was computed with

    def propose(self, tokens: list[int]) -> list[int]:
        """The next tokens that the small model likes best."""
        room = self.model.n_ctx - len(tokens)  # the last guess is not computed
        guesses: list[int] = []
        if room < 0:
            return guesses
        cache = self._remembering(tokens)
        pending = tokens[len(self._known) :]
        while True:
            row = self._run(cache, pending)
            candidates = candidates_of(row)
            token = int(candidates.ids[candidates.logits.argmax()])
            if self.p_min and _probability(row, token) < self.p_min:
                return guesses
            guesses.append(token)
            if len(guesses) == min(self.n, room + 1):
                return guesses
            pending = [token]

    def _remembering(self, tokens: list[int]) -> Cache:
        """The cache, with as much of these as it knows, but for the last."""
        if self._cache is None or self._cache.n_ctx < min(self.model.n_ctx, len(tokens) + self.n):
            n_ctx = max(SMALLEST_CONTEXT, 2 * (len(tokens) + self.n))
            self._cache = self.model.cache(min(self.model.n_ctx, n_ctx), rollback=self.n)
            self._known = []
        if self._key != (key := self.model.state_key()):
            self._key = key
            self._forget(0)
        same = min(len(self._known), len(tokens) - 1)
        for i, (one, other) in enumerate(zip(self._known[:same], tokens, strict=False)):
            if one != other:
                same = i
                break
        if same < len(self._known):
            self._forget(same)
        return self._cache

    def _forget(self, n: int) -> None:
        """Keep the first n tokens, or none if the cache cannot go back so far."""
        assert self._cache is not None
        try:
            self._cache.remove(0, n)
        except UnsupportedError:
            self._cache.remove(0)
            n = 0
        del self._known[n:]

    def _run(self, cache: Cache, tokens: list[int]) -> Any:
        """The logits after these tokens, which are remembered."""
        for start in range(0, len(tokens), cache.n_batch):
            piece = tokens[start : start + cache.n_batch]
            is_last = start + len(piece) == len(tokens)
            batch = Batch.of(piece, logits="last" if is_last else "none")
            rows = self.model.run(cache, batch, few=not self.p_min)
            self._known += piece
        return rows[-1]

    def __repr__(self) -> str:
        return f"DraftModel({self.model!r}, n={self.n})"


def _probability(row: Any, token: int) -> float:
    return float(1 / np.exp(row.astype(np.float64) - row[token]).sum())


def _positive(n: int) -> int:
    if n < 1:
        raise UnsupportedError(f"n is {n}: guess at least one token at a time")
    return n
