"""The tokens that are still in play, with their logits: what stages shrink and reweigh."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# logits are looked at in blocks, to find the largest of many without sorting them
BLOCK = 64


@functools.lru_cache(maxsize=4)
def _all_ids(n: int) -> Ints:
    ids = np.arange(n, dtype=np.int32)
    ids.flags.writeable = False
    return ids


class Candidates:
    """Tokens in play. `selected` is the index of the chosen one, once a stage has chosen.

    `probs` are what was last computed for those that are kept: cutting does not renormalise them.
    A change of logits makes them anew when they are asked for.
    """

    def __init__(self, logits: ArrayLike, ids: ArrayLike | None = None) -> None:
        self.logits: Floats = np.array(logits, np.float32)
        n = self.logits.size
        self.ids: Ints = _all_ids(n) if ids is None else np.array(ids, np.int32)
        self.selected: int | None = None
        self.is_sorted = False
        self._every = ids is None  # whether the candidate at an index is the token of that number
        self._probs: Floats | None = None
        self._fresh = False  # whether these are the probabilities of just these candidates

    @classmethod
    def likeliest(cls, ids: ArrayLike, logits: ArrayLike) -> Candidates:
        """The likeliest tokens of a row, which come best first, of equals the lowest id first."""
        candidates = cls(logits, ids)
        candidates.is_sorted = True
        return candidates

    def __len__(self) -> int:
        return self.logits.size

    @property
    def token(self) -> int | None:
        """The chosen token."""
        return None if self.selected is None else int(self.ids[self.selected])

    # ---- probabilities

    @property
    def probs(self) -> Floats:
        if self._probs is None:
            return self.softmax()
        return self._probs

    def softmax(self) -> Floats:
        """The probabilities of these candidates alone; their sum is 1."""
        if not self._fresh or self._probs is None:
            weights = self.weights()
            self._probs = weights / running_sum(weights)
            self._fresh = True
        return self._probs

    def logprobs(self, n: int = 5) -> dict[int, float]:
        """The likeliest n tokens in play, with the logarithms of their probabilities.

        Those of `Candidates(logits)` are before sampling, of what `Sampler.apply` gives after it.
        """
        weights = self.weights()
        total = weights.sum(dtype=np.float64)
        with np.errstate(divide="ignore"):
            return {
                int(self.ids[index]): float(np.log(weights[index] / total))
                for index in self.largest(min(n, len(self)))
            }

    def weights(self) -> Floats:
        """exp(logit), over that of the largest."""
        # in float64, and rounded once: as C's expf gives it, to the bit
        with np.errstate(under="ignore", invalid="ignore"):
            shifted = (self.logits - self.highest()).astype(np.float64)
            return np.exp(shifted).astype(np.float32)

    def highest(self) -> np.float32:
        """The largest logit."""
        return self.logits[0] if self.is_sorted else self.logits.max()

    def set_probs(self, probs: Floats) -> None:
        """Probabilities that a stage has computed in its own way."""
        self._probs, self._fresh = probs, False

    # ---- changing what there is

    def set_logits(self, logits: Floats, *, order_kept: bool = False) -> None:
        """Other logits for the same candidates. `order_kept`: larger ones are still larger."""
        self.logits = logits
        self.is_sorted = self.is_sorted and order_kept
        self._probs, self._fresh = None, False

    def add(self, ids: Ints, amounts: Floats) -> None:
        """Add to the logits of some tokens, each named once."""
        found, which = self.find(ids)
        logits = self.logits
        logits[found] += amounts[which]
        self.set_logits(logits)

    def find(self, ids: Ints) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Indices of those of these tokens that are in play, and which of `ids` they are."""
        if self._every:
            which = np.flatnonzero((ids >= 0) & (ids < len(self)))
            return ids[which].astype(np.intp), which
        order = np.argsort(ids, kind="stable")
        at = np.minimum(np.searchsorted(ids, self.ids, sorter=order), len(ids) - 1)
        which = order[at]
        found = np.flatnonzero(ids[which] == self.ids)
        return found, which[found]

    def keep(self, which: Any) -> None:
        """Keep these, in this order: a slice, a mask, or indices."""
        is_sorted = self.is_sorted
        self._take(which)
        # a slice or a mask leaves the order as it is
        self.is_sorted = is_sorted and (isinstance(which, slice) or which.dtype == np.bool_)

    def sort(self, n: int | None = None) -> None:
        """Order them by their logits, largest first, and if n is given keep the n first."""
        if not self.is_sorted:
            fresh = self._fresh and (n is None or n >= len(self))
            self.keep_sorted(self.largest(len(self) if n is None else n))
            self._fresh = fresh
        elif n is not None and n < len(self):
            self.keep(slice(n))

    def keep_sorted(self, which: NDArray[np.intp]) -> None:
        """Keep these, which come from the largest logit to the smallest."""
        self._take(which)
        self.is_sorted = True

    def largest(self, n: int) -> NDArray[np.intp]:
        """Indices of the n largest logits, largest first; of equal ones the first comes first."""
        logits, size = self.logits, len(self)
        if self.has_few(n):
            return falling_order(logits)[:n]
        # n blocks have a largest that is no less than the n-th of these: so have n logits
        whole = size // BLOCK * BLOCK
        tops = logits[:whole].reshape(-1, BLOCK).max(1)
        least = np.partition(tops, len(tops) - n)[len(tops) - n]
        found = np.flatnonzero(logits >= least)
        return found[falling_order(logits[found])[:n]]

    def has_few(self, n: int) -> bool:
        """Whether the n largest are found soonest by sorting all."""
        return n * BLOCK >= len(self)

    def choose(self, index: int) -> None:
        """Select the candidate at an index."""
        self.selected = int(index)

    def _take(self, which: Any) -> None:
        self.ids, self.logits = self.ids[which], self.logits[which]
        if self._probs is not None:
            self._probs = self._probs[which]
        self._every = self._fresh = False

    # ---- for people

    def copy(self) -> Candidates:
        """The same, to be changed apart."""
        other = object.__new__(Candidates)
        other.__dict__.update(self.__dict__)
        other.logits = self.logits.copy()
        return other

    def __repr__(self) -> str:
        likely = self.largest(min(4, len(self)))
        weights = self.weights()
        total = weights.sum(dtype=np.float64)
        shown = ", ".join(f"{self.ids[i]}: {weights[i] / total:.3f}" for i in likely)
        more = ", ..." if len(self) > len(likely) else ""
        chosen = "" if self.selected is None else f", selected {self.token}"
        return f"<{len(self)} candidates: {shown}{more}{chosen}>"


def sort_rows(rows: Sequence[tuple[Candidates, int]]) -> None:
    """Of each the first n by their logits, as `sort` does; large ones together, in threads."""
    large = [(row, n) for row, n in rows if not (row.is_sorted or row.has_few(n))]
    for row, n in rows:
        if row.is_sorted or row.has_few(n):
            row.sort(min(n, len(row)))
    if not large:
        return
    from .. import threads
    from .kernels import largest_of

    found = [np.empty(n, np.intp) for _, n in large]

    def search(start: int, stop: int) -> None:
        for at in range(start, stop):
            largest_of(large[at][0].logits, found[at])

    threads.run(search, len(large), grain=2)
    for (row, _), which in zip(large, found, strict=True):
        row.keep_sorted(which)


def falling_order(values: Floats) -> NDArray[np.intp]:
    """Indices by value, largest first, and of equal values the first index first.

    Value and index make up one whole number, which is sorted many times faster than indices are.
    """
    bits = (values + np.float32(0)).view(np.int32)  # -0 is 0
    rising = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    keys = (~rising).astype(np.int64) << 32 | np.arange(len(values))
    keys.sort()
    return (keys & 0xFFFFFFFF).astype(np.intp)


def log(values: Any) -> Any:
    """As C's logf gives it, of one number or many."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(values.astype(np.float64)).astype(np.float32)


def running_sum(values: Floats) -> np.float32:
    """Added one after the other in float32, as llama.cpp adds."""
    return np.add.accumulate(values, dtype=np.float32)[-1]
