"""What is handed to a Llama: processors, criteria, drafts, states and caches of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.intc]
Scores: TypeAlias = NDArray[np.single]


class LogitsProcessorList(list[Callable[[Ids, Scores], Scores]]):
    """Functions of the tokens so far and the logits, one after the other."""

    def __call__(self, input_ids: Ids, scores: Scores) -> Scores:
        for processor in self:
            scores = processor(input_ids, scores)
        return scores


class StoppingCriteriaList(list[Callable[[Ids, Scores], bool]]):
    """Functions of the tokens so far and the logits: any of them ends the text."""

    def __call__(self, input_ids: Ids, logits: Scores) -> bool:
        return any([criterion(input_ids, logits) for criterion in self])


class MinTokensLogitsProcessor:
    """Forbids the end of the text before there are so many tokens."""

    def __init__(self, min_tokens: int, token_eos: int) -> None:
        self.min_tokens, self.token_eos = min_tokens, token_eos
        self.n_prompt: int | None = None

    def __call__(self, input_ids: Ids, scores: Scores) -> Scores:
        if self.n_prompt is None:
            self.n_prompt = len(input_ids)
        if len(input_ids) - self.n_prompt < self.min_tokens:
            scores[self.token_eos] = -np.inf
        return scores


class LlamaPromptLookupDecoding:
    """Drafts what followed the last few tokens where they stood before."""

    def __init__(self, max_ngram_size: int = 2, num_pred_tokens: int = 10) -> None:
        self.max_ngram_size, self.num_pred_tokens = max_ngram_size, num_pred_tokens

    def __call__(self, input_ids: Ids, /, **_: Any) -> Ids:
        n = len(input_ids)
        for size in range(min(self.max_ngram_size, n - 1), 0, -1):
            windows = np.lib.stride_tricks.sliding_window_view(input_ids, size)
            for start in np.flatnonzero((windows == input_ids[-size:]).all(1)) + size:
                if start < n:
                    return input_ids[start : start + self.num_pred_tokens]
        return np.zeros(0, np.intc)


@dataclass
class LlamaState:
    """All that a Llama remembers."""

    input_ids: Ids
    scores: Scores
    n_tokens: int
    llama_state: bytes
    llama_state_size: int
    seed: int


class LlamaRAMCache:
    """States by the tokens that led to them; the oldest go when there is no more room."""

    def __init__(self, capacity_bytes: int = 2 << 30) -> None:
        self.capacity_bytes = capacity_bytes
        self.cache_state: OrderedDict[tuple[int, ...], LlamaState] = OrderedDict()

    @property
    def cache_size(self) -> int:
        return sum(state.llama_state_size for state in self.cache_state.values())

    def _nearest(self, key: Sequence[int]) -> tuple[int, ...] | None:
        """The key that begins like this one for longest, if any does."""
        lengths = {each: common_prefix(each, key) for each in self.cache_state}
        best = max(lengths, key=lambda each: lengths[each], default=None)
        return best if best is not None and lengths[best] else None

    def __contains__(self, key: Sequence[int]) -> bool:
        return self._nearest(key) is not None

    def __getitem__(self, key: Sequence[int]) -> LlamaState:
        nearest = self._nearest(key)
        if nearest is None:
            raise KeyError("no state of this cache begins like these tokens")
        self.cache_state.move_to_end(nearest)
        return self.cache_state[nearest]

    def __setitem__(self, key: Sequence[int], state: LlamaState) -> None:
        self.cache_state.pop(tuple(key), None)
        self.cache_state[tuple(key)] = state
        while self.cache_size > self.capacity_bytes and self.cache_state:
            self.cache_state.popitem(last=False)


LlamaCache = LlamaRAMCache


def common_prefix(a: Sequence[int] | Ids, b: Sequence[int] | Ids) -> int:
    """How many tokens two sequences begin with alike."""
    n = min(len(a), len(b))
    differs = np.flatnonzero(np.asarray(a[:n]) != np.asarray(b[:n]))
    return int(differs[0]) if len(differs) else n
