"""RWKV: the longest token at each place. Tokens are bytes, written with escapes."""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np

from ..errors import TokenizerError
from .base import Tokenizer
from .kernels import paths
from .trie import Trie

_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|[^x])", re.DOTALL)
_LETTERS = {b"t": b"\t", b"n": b"\n", b"r": b"\r"}


class RWKV(Tokenizer):
    """Nothing stands around its texts, whatever a file says."""

    def setup(self) -> None:
        self._trie = Trie(self._bytes)

    @cached_property
    def _bytes(self) -> list[bytes]:
        return [unescaped(text.encode()) for text in self.vocabulary.texts]

    def tokenize(self, text: bytes, *, after_special: bool) -> list[int]:
        data = np.frombuffer(text, np.uint8)
        out = np.empty(len(data), np.int32)
        count = paths.longest_first(data, self._trie.edges, self._trie.value_at, out)
        out = out[:count]
        unknown = self.vocabulary.ids["unk"]
        if (out == -2).any() or (unknown is None and (out == -1).any()):
            raise TokenizerError(
                "the text has bytes that are no tokens, and the vocabulary has no token for the "
                "unknown: convert the model again"
            )
        if unknown is not None:
            out[out == -1] = unknown
        return list(out.tolist())

    def before(self, wanted: bool = False) -> list[int]:
        return self._there("bos") if wanted else []

    def after(self) -> list[int]:
        return []

    @cached_property
    def nl(self) -> int | None:
        """The token of a line's end."""
        return self.encode("\n", bos=False)[0]

    def bytes_of_tokens(self) -> list[bytes]:
        return self._bytes


def unescaped(text: bytes) -> bytes:
    r"""The bytes that a token is written for: \t, \n, \r, \x and two digits, \ and anything."""

    def one(found: re.Match[bytes]) -> bytes:
        escape = found[1]
        if escape[:1] == b"x":
            return bytes([int(escape[1:], 16)])
        return _LETTERS.get(escape, escape)

    return _ESCAPE.sub(one, text) if b"\\" in text else text
