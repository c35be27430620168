"""Stages that make repeating oneself less likely."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .candidates import Candidates
from .stage import Stage

# the largest logarithm of a float32
LARGEST_LOG = 88.7228391
# how much of a breaker's text counts, and how many tokens of what follows its first
BREAKER_CHARACTERS, BREAKER_TOKENS = 40, 20


@dataclass
class Penalties(Stage):
    """Lower the logits of the last tokens: by a factor, and by amounts for each and for any use.

    With a `decay` below 1, uses count for less the longer ago they were: each token multiplies
    what the earlier ones count for, as programs for RWKV do.
    """

    last_n: int = 64
    repeat: float = 1.0
    frequency: float = 0.0
    presence: float = 0.0
    decay: float = 1.0

    def __post_init__(self) -> None:
        self.reset()

    @property
    def is_on(self) -> bool:
        """Whether any token is penalized."""
        return self.repeat != 1 or self.frequency != 0 or self.presence != 0

    def reset(self) -> None:
        self._last: deque[int] = deque(maxlen=max(0, self.last_n))

    def accept(self, token: int) -> None:
        self._last.append(token)

    def apply(self, candidates: Candidates) -> None:
        if not self.is_on or not self._last:
            return
        used, which = np.unique(np.array(self._last, np.int32), return_inverse=True)
        ages = np.arange(len(self._last))[::-1]
        counts = np.bincount(which, weights=self.decay**ages).astype(np.float32)
        found, which = candidates.find(used)
        logits = candidates.logits
        old, repeat = logits[found], np.float32(self.repeat)
        new = np.where(old <= 0, old * repeat, old / repeat)
        amounts = counts[which] * np.float32(self.frequency) + np.float32(self.presence)
        logits[found] = new - amounts
        candidates.set_logits(logits)


@dataclass
class DRY(Stage):
    """Don't Repeat Yourself: lower what would continue a repetition, the more the longer it is.

    The penalty is multiplier * base ** (length - allowed_length). `breakers` are texts that no
    repetition reaches across; they need the tokenizer.
    """

    multiplier: float = 0.0
    base: float = 1.75
    allowed_length: int = 2
    last_n: int = 64
    breakers: Sequence[str] = ()
    tokenizer: Any = None

    def __post_init__(self) -> None:
        self._heads: dict[int, list[list[int]]] = {}
        if self.is_on and self.breakers and self.tokenizer is not None:
            self._heads = breaking_tokens(self.tokenizer, self.breakers)
        self.reset()

    @property
    def is_on(self) -> bool:
        """Whether any repetition is penalized."""
        return self.multiplier != 0 and self.base >= 1 and self.last_n > 0

    def reset(self) -> None:
        self._last: deque[int] = deque(maxlen=max(0, self.last_n))

    def accept(self, token: int) -> None:
        self._last.append(token)

    def copy(self) -> DRY:
        other = object.__new__(DRY)
        other.__dict__.update(self.__dict__)
        other._last = self._last.copy()
        return other

    def apply(self, candidates: Candidates) -> None:
        newest_first = list(reversed(self._last))
        if not self.is_on or len(newest_first) <= self.allowed_length:
            return
        limit = self._unbroken(newest_first)
        if limit < self.allowed_length:
            return
        longest = self._repetitions(newest_first, limit)
        if not longest:
            return
        most = int(LARGEST_LOG / math.log(self.base)) if self.base > 1.000001 else 0
        exponents = [length - self.allowed_length for length in longest.values()]
        powers = [min(each, most) if most > 0 else each for each in exponents]
        penalties = [np.float32(self.multiplier) * np.float32(self.base) ** each for each in powers]
        ids = np.array(list(longest), np.int32)
        candidates.add(ids, -np.array(penalties, np.float32))

    def _unbroken(self, newest_first: list[int]) -> int:
        """How many of the last tokens come after the last breaker."""
        for i, token in enumerate(newest_first):
            lengths = [
                len(tail)
                for tail in self._heads.get(token, ())
                if len(tail) <= i and tail == newest_first[i - len(tail) : i][::-1]
            ]
            if lengths:
                return i - max(lengths)
        return len(newest_first)

    def _repetitions(self, newest_first: list[int], limit: int) -> dict[int, int]:
        """For each token that would go on with a repetition, the length of the longest."""
        longest: dict[int, int] = {}
        lengths = common_beginnings(newest_first)
        # from the oldest on: the first token that is met stays first
        for start in range(len(newest_first) - 1, 0, -1):
            length, token = min(lengths[start], limit), newest_first[start - 1]
            is_breaker = [] in self._heads.get(token, ())
            if length >= self.allowed_length and not is_breaker:
                longest[token] = max(length, longest.get(token, 0))
        return longest


def common_beginnings(items: list[int]) -> list[int]:
    """For each start, how many items agree with those at the very beginning (the Z algorithm)."""
    n = len(items)
    lengths = [n] + [0] * (n - 1)
    left = right = 0  # the match that reaches farthest
    for k in range(1, n):
        length = min(lengths[k - left], right - k) if k < right else 0
        while k + length < n and items[length] == items[k + length]:
            length += 1
        lengths[k] = length
        if k + length > right:
            left, right = k, k + length
    return lengths


def breaking_tokens(tokenizer: Any, breakers: Sequence[str]) -> dict[int, list[list[int]]]:
    """For tokens in which a breaker begins, the tokens that complete it: none, if it is inside."""
    heads: dict[int, list[list[int]]] = {}
    texts = [tokenizer.decode([id], special=True) for id in range(len(tokenizer))]
    for breaker in breakers:
        breaker = breaker.encode()[:BREAKER_CHARACTERS].decode(errors="ignore")
        if not breaker:
            continue
        beginnings = [breaker[:k] for k in range(1, len(breaker))]
        tails = {
            each: tokenizer.encode(breaker[len(each) :], bos=False)[:BREAKER_TOKENS]
            for each in beginnings
        }
        for token, text in enumerate(texts):
            if breaker in text:
                heads.setdefault(token, []).append([])
                continue
            for beginning, tail in tails.items():
                known = heads.get(token, [])
                if text.endswith(beginning) and tail not in known:
                    heads.setdefault(token, []).append(tail)
    return heads
