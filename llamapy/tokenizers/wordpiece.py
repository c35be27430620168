"""WordPiece: words and punctuation, each spelled with the longest tokens from left to right."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import TokenizerError
from .base import Tokenizer
from .kernels import words
from .letters import lowercase, without_accent
from .pieces import SPACE, pieces_with_spaces
from .trie import Trie
from .unicode import CONTROL, MARK, N_CODE_POINTS, PUNCTUATION, SYMBOL, categories, is_white_space

# each of these characters is a word of its own
IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)


class WordPiece(Tokenizer):
    """BERT's tokenizer; a word that tokens cannot spell is unknown as a whole."""

    defaults = {"bos": 101, "unk": 100, "sep": 102, "pad": 0, "mask": 103}

    def setup(self) -> None:
        get = self.vocabulary.get
        self.adds_bos = bool(get("add_bos_token", True))
        self.cleans_spaces = True
        self._longest = int(get("longest_word", np.iinfo(np.int64).max))
        lower = bool(get("normalizer.lowercase", True))
        self.strips_accents = bool(get("normalizer.strip_accents", lower))
        self._becomes = _becomes(lower, self.strips_accents, self.accents(), self.removed())
        spelled = np.flatnonzero(self.vocabulary.is_spelled())
        texts = self.vocabulary.texts
        self._trie = Trie([texts[id].encode() for id in spelled.tolist()], spelled)

    def accents(self) -> NDArray[np.bool_]:
        """Which code points go where accents are stripped."""
        return categories() == MARK

    def removed(self) -> NDArray[np.bool_]:
        """Which code points go even where they are white space."""
        return np.zeros(N_CODE_POINTS, bool)

    def tokenize(self, text: bytes, *, after_special: bool) -> list[int]:
        out = np.empty(2 * len(text) + 16, np.int32)
        count = words.spell_words(
            np.frombuffer(text, np.uint8),
            self._becomes,
            self._trie.edges,
            self._trie.value_at,
            -1 if self.vocabulary.ids["unk"] is None else self.vocabulary.ids["unk"],
            np.frombuffer(SPACE, np.uint8),
            self._longest,
            out,
        )
        out = out[:count]
        if (out < 0).any():
            raise TokenizerError(
                "the text has words that are no tokens, and the vocabulary has no token for the "
                "unknown: convert the model again"
            )
        return list(out.tolist())

    def before(self, wanted: bool = False) -> list[int]:
        return self._there("bos")

    def after(self) -> list[int]:
        return self._there("sep")

    @cached_property
    def nl(self) -> int | None:
        """A line's end is no token: padding stands for it."""
        return self.defaults.get("pad")

    def bytes_of_tokens(self) -> list[bytes]:
        return pieces_with_spaces(self.vocabulary)


def _becomes(
    lower: bool, strips_accents: bool, accents: NDArray[np.bool_], removed: NDArray[np.bool_]
) -> NDArray[np.uint32]:
    """What becomes of each code point, and what it does to words."""
    point = np.arange(N_CODE_POINTS, dtype=np.uint32)
    base = without_accent() if strips_accents else point
    category, space = categories()[base], is_white_space()[base]
    alone = (category == PUNCTUATION) | ((base < 0x7F) & (category == SYMBOL))
    for first, last in IDEOGRAPHS:
        alone |= (base >= first) & (base <= last)
    skipped = (base == 0) | (base == 0xFFFD) | (category == CONTROL)
    if strips_accents:
        skipped |= accents[base]
    what = np.select(
        [removed[base], space, skipped, alone],
        [words.SKIPPED, words.SPACE, words.SKIPPED, words.ALONE],
        words.LETTER,
    )
    return (lowercase()[base] if lower else base) | (what.astype(np.uint32) << words.WHAT_SHIFT)
