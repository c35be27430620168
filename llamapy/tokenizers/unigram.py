"""Unigram: of all ways to spell a text with tokens, the one whose scores add up to the most."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import TokenizerError
from .base import Tokenizer
from .charsmap import Normalizer
from .kernels import characters, lattice
from .pieces import byte_tokens, pieces_with_spaces
from .trie import Trie
from .vocabulary import NORMAL, UNUSED, USER_DEFINED

UNKNOWN_PENALTY = np.float32(10)


class Unigram(Tokenizer):
    """The likeliest tokens of a text, whose characters are replaced first as the file says."""

    defaults = {"eos": 1, "unk": 2, "pad": 0}

    def setup(self) -> None:
        get, vocabulary = self.vocabulary.get, self.vocabulary
        self.adds_eos = bool(get("add_eos_token", True))
        # what files say counts here, before special tokens are known by their texts
        kinds = vocabulary.kinds_in_file
        user_defined = np.flatnonzero(kinds == USER_DEFINED).tolist()
        suffix = bool(get("treat_whitespace_as_suffix", False))
        self._normalize = Normalizer(
            get("precompiled_charsmap", ()),
            prefix=self.adds_space and not suffix,
            suffix=self.adds_space and suffix,
            merges_spaces=bool(get("remove_extra_whitespaces", False)),
            kept=[vocabulary.texts[id].encode() for id in user_defined],
        )
        is_known = np.isin(kinds, (NORMAL, USER_DEFINED, UNUSED)) & vocabulary.is_spelled()
        known = np.flatnonzero(is_known)
        self._trie = Trie([vocabulary.texts[id].encode() for id in known.tolist()], known)
        self._pairs = characters.pairs_of(self._trie.text, self._trie.ends)
        scores = vocabulary.scores.astype(np.float64)
        scores[(kinds == USER_DEFINED) | (vocabulary.kinds == USER_DEFINED)] = 0
        self._scores = scores
        normal = vocabulary.scores[kinds == NORMAL]
        lowest = normal.min() if len(normal) else np.finfo(np.float32).max
        self._unknown_score = float(lowest - UNKNOWN_PENALTY)
        # files do not ask for it: other sources of vocabularies may
        self._byte_ids = np.full(256, -1, np.int32)
        if get("byte_fallback", False):
            self._byte_ids = byte_tokens(vocabulary)

    def tokenize(self, text: bytes, *, after_special: bool) -> list[int]:
        return self.spell(self._normalize(text))

    def spell(self, data: NDArray[np.uint8]) -> list[int]:
        """The tokens of a text in which ▁ stands for spaces."""
        out = np.empty(len(data), np.int32)
        trie = self._trie
        count = lattice.best_path(
            data,
            trie.edges,
            trie.value_at,
            self._scores,
            self._pairs,
            self._unknown_score,
            self._byte_ids,
            out,
        )
        out = out[:count]
        unknown = out < 0
        if unknown.any():
            id = self.vocabulary.ids["unk"]
            if id is None:
                raise TokenizerError(
                    "the text has characters that are no tokens, and the vocabulary has no token "
                    "for the unknown: convert the model again"
                )
            out[unknown] = id
        return list(out.tolist())

    @cached_property
    def nl(self) -> int | None:
        """The token of a line's end."""
        ids = self.encode("\n", bos=False)
        return ids[0] if ids else self.defaults.get("pad")

    def bytes_of_tokens(self) -> list[bytes]:
        return pieces_with_spaces(self.vocabulary)
