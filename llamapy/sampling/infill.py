"""A stage for filling in: it ends the text when no continuation stands out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .candidates import Candidates, running_sum
from .stage import Stage


@dataclass
class Infill(Stage):
    """Join tokens that begin alike, keep the likely ones, and end the text if none are left.

    It belongs behind a top-k and a top-p.
    """

    tokenizer: Any = field(default=None, repr=False)

    def apply(self, candidates: Candidates) -> None:
        if not len(candidates):
            return
        candidates.sort()
        probs = candidates.softmax().copy()
        ends = np.isin(candidates.ids, list(self.tokenizer.end_tokens))
        ending = running_sum(np.where(ends, probs, np.float32(0)))
        going_on = running_sum(np.where(ends, np.float32(0), probs))
        if 3 * ending * len(candidates) > going_on:
            _keep(candidates, ends, probs)
            return
        self._join(candidates, probs)
        kept = ends | (probs >= np.float32(0.2))
        count = int(np.count_nonzero(kept & ~ends))
        if not count:
            self._end(candidates, probs[kept] if kept.any() else probs)
            return
        _keep(candidates, kept, probs)
        probs, ends = candidates.probs, ends[kept]
        _keep(candidates, ends | (probs >= np.float32(1 / (count + 1))), probs)

    def _join(self, candidates: Candidates, probs: np.ndarray) -> None:
        """A token that another one begins with gives its probability to the likelier of the two."""
        pieces = [self.tokenizer.piece(int(token)) for token in candidates.ids]
        logits = candidates.logits.copy()
        for i, beginning in enumerate(pieces):
            for k, piece in enumerate(pieces):
                if logits[i] == -np.inf:
                    break
                if i == k or logits[k] == -np.inf or not beginning:
                    continue
                if piece.startswith(beginning):
                    target, source = (k, i) if probs[k] > probs[i] else (i, k)
                    probs[target] += probs[source]
                    probs[source] = 0
                    logits[source] = -np.inf
        candidates.set_logits(logits)

    def _end(self, candidates: Candidates, probs: np.ndarray) -> None:
        """Only the token that ends the text is left."""
        end = self.tokenizer.eot
        end = self.tokenizer.eos if end is None else end
        candidates.keep(slice(1))
        candidates.ids = np.array([end], np.int32)
        candidates.set_logits(np.ones(1, np.float32))
        candidates.set_probs(probs[:1])


def _keep(candidates: Candidates, which: np.ndarray, probs: np.ndarray) -> None:
    """Keep these, and let their probabilities make up 1."""
    candidates.keep(which)
    kept = probs[which]
    candidates.set_probs(kept / running_sum(kept) if len(kept) else kept)
