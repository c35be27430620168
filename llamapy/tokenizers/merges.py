"""The merges of a byte-pair encoding: words of letters become tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TokenizerError
from ..gguf.types import ArrayType, ValueType
from ..gguf.values import typed
from .kernels.bpe import merge_words
from .kernels.merge_tables import link_merges, number_texts

# before the strings of an array stand its type and their number
HEAD = 12

Letters = NDArray[np.int32]


def packed(metadata: Mapping[str, Any], key: str) -> tuple[NDArray[np.uint8], int]:
    """An array of strings as a file has it, each behind its length, and how many they are."""
    if key not in metadata:
        return np.empty(0, np.uint8), 0
    value = getattr(metadata, "value", metadata.__getitem__)(key)
    return packed_strings(value)


def packed_strings(value: Any) -> tuple[NDArray[np.uint8], int]:
    """Strings, each behind its length, and how many they are."""
    raw = np.frombuffer(typed(ArrayType(ValueType.STRING), value).encoded(), np.uint8)
    return raw[HEAD:], int(raw[4:HEAD].view("<u8")[0])


class Merges:
    """Texts with numbers, and which of them become which others, once `link` was called.

    `letters` are texts that get a number even if they are no token; those of tokens come first.
    """

    def __init__(self, metadata: Mapping[str, Any], letters: Sequence[str]) -> None:
        tokens, self.n_tokens = packed(metadata, "tokenizer.ggml.tokens")
        extra, n_letters = packed_strings(list(letters))
        rules, n_rules = packed(metadata, "tokenizer.ggml.merges")
        # room for merged texts that are no tokens
        self.pool = np.empty(tokens.size + extra.size + 2 * rules.size, np.uint8)
        np.concatenate([tokens, extra, rules], out=self.pool[: -rules.size or None])
        most = self.n_tokens + n_letters + 3 * n_rules
        self.starts = np.empty(most, np.int64)
        self.lengths = np.empty(most, np.int32)
        # texts of merges are mostly tokens; where they are not, the kernel makes more room
        self.slots = np.zeros((_power_of_two(2 * (self.n_tokens + n_letters)), 2), np.int64)
        self.pairs = np.full((_power_of_two(2 * n_rules + 2), 2), -1, np.int64)
        numbers = np.empty(self.n_tokens + n_letters, np.int64)
        texts = (self.starts, self.lengths, self.slots)
        count, _ = number_texts(self.pool, 0, self.n_tokens, *texts, numbers, 0)
        self._is_clear = count == self.n_tokens
        own = numbers[self.n_tokens :]
        self.n_texts, _ = number_texts(self.pool, tokens.size, n_letters, *texts, own, count)
        self.numbers = own.astype(np.int32)
        self._rules = tokens.size + extra.size, n_rules, tokens.size + extra.size + rules.size

    def link(self) -> None:
        """Make the table of merges. Compiled code does it, beside which Python can do other things.

        Where the rules stand, how many they are, and where they end was found before.
        """
        if not self._is_clear:
            raise TokenizerError("two tokens have the same text: convert the model again")
        texts = (self.starts, self.lengths, self.slots)
        self.n_texts, self.slots, _ = link_merges(
            self.pool, *self._rules, *texts, self.pairs, self.n_texts
        )

    def text(self, number: int) -> bytes:
        """The text of this number."""
        start = int(self.starts[number])
        return self.pool[start : start + int(self.lengths[number])].tobytes()

    def characters(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The code points that are texts of their own, and the numbers of these."""
        lengths, starts = self.lengths[: self.n_texts], self.starts[: self.n_texts]
        short = np.flatnonzero((lengths > 0) & (lengths <= 4))
        first = self.pool[starts[short]]
        size = 1 + (first >= 0xC0).astype(np.int64) + (first >= 0xE0) + (first >= 0xF0)
        short = short[size == lengths[short]]
        data = b"".join(map(self.text, short.tolist())).decode(errors="replace")
        points = np.frombuffer(data.encode("utf-32-le"), "<u4").astype(np.int64)
        return points, short

    def __call__(self, letters: Letters, ends: NDArray[np.int64], whole_from: int) -> Letters:
        """The numbers of the texts that words of letters become.

        Words that begin with `whole_from` stay whole if they are a token; -1: all, -2: none.
        """
        found = np.empty(len(letters), np.int32)
        count = merge_words(
            letters,
            ends,
            self.pairs,
            whole_from,
            self.n_tokens,
            self.pool,
            self.starts,
            self.lengths,
            self.slots,
            found,
        )
        return found[:count]


def _power_of_two(least: int) -> int:
    return 1 << max(10, (least - 1).bit_length())
