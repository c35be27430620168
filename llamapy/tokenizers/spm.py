"""SPM: SentencePiece's pair encoding, in which tokens have scores and ▁ stands for a space."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import TokenizerError
from .base import Tokenizer
from .kernels import characters, merging
from .pieces import SPACE, byte_tokens, pieces_with_spaces
from .trie import Trie


class SPM(Tokenizer):
    """Neighbours that make a token merge, that of the best score first, until none do."""

    defaults = {"bos": 1, "eos": 2, "unk": 0}

    def setup(self) -> None:
        get = self.vocabulary.get
        self.adds_space = bool(get("add_space_prefix", True))
        self.adds_bos = bool(get("add_bos_token", True))
        trie = self._trie = Trie([text.encode() for text in self.vocabulary.texts])
        self._pairs = characters.pairs_of(trie.text, trie.ends)
        self._byte_ids = byte_tokens(self.vocabulary)
        _, ranks = np.unique(-self.vocabulary.scores, return_inverse=True)
        self._ranks = ranks.astype(np.int64)

    def tokenize(self, text: bytes, *, after_special: bool) -> list[int]:
        if self.adds_space and after_special:
            text = b" " + text
        return self.spell(np.frombuffer(text.replace(b" ", SPACE), np.uint8))

    def spell(self, data: NDArray[np.uint8]) -> list[int]:
        """The tokens of a text in which ▁ stands for spaces."""
        out = np.empty(len(data), np.int32)
        trie = self._trie
        count = merging.merge(
            data,
            trie.edges,
            trie.value_at,
            trie.node_of,
            trie.lengths,
            self._ranks,
            self._pairs,
            self._byte_ids,
            out,
        )
        out = out[:count]
        unknown = out < 0
        if unknown.any():
            if self.vocabulary.ids["unk"] is None:
                raise TokenizerError(
                    "the text has characters that are no tokens, and the vocabulary has neither "
                    "tokens for bytes nor one for the unknown: convert the model again"
                )
            out[unknown] = self.vocabulary.ids["unk"]
        return list(out.tolist())

    @cached_property
    def nl(self) -> int | None:
        """The token of a line's end."""
        id = int(self._byte_ids[ord("\n")])
        return id if id >= 0 else self.defaults.get("pad")

    def bytes_of_tokens(self) -> list[bytes]:
        return pieces_with_spaces(self.vocabulary)
