"""A model without a vocabulary: ids of tokens go in and out, and no text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from ..errors import TokenizerError
from .base import Stream, Tokenizer
from .vocabulary import KEYS


class NoTokenizer(Tokenizer):
    """There are no special tokens and nothing ends a text; whatever has to do with text fails."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        architecture = metadata.get("general.architecture", "")
        self._count = int(metadata.get(f"{architecture}.vocab_size", 0))
        self.end_tokens = frozenset()
        self.adds_space = self.adds_bos = self.adds_eos = self.cleans_spaces = False

    def __getattr__(self, name: str) -> int | None:
        if name in KEYS:
            return None
        if name == "vocabulary":
            self._fail()
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __len__(self) -> int:
        return self._count

    @property
    def nl(self) -> int | None:
        """There is none."""
        return None

    def _fail(self) -> NoReturn:
        raise TokenizerError(
            "the model has no vocabulary (tokenizer.ggml.model is none): give it ids of tokens, "
            "or take the tokenizer of another file"
        )

    def tokenize(self, text: bytes, *, after_special: bool) -> list[int]:
        self._fail()

    def encode(
        self, text: str | bytes, *, special: bool = False, bos: bool | None = None
    ) -> list[int]:
        self._fail()

    def piece(self, id: int, *, special: bool = False) -> bytes:
        self._fail()

    def decode_bytes(
        self, ids: Any, *, special: bool = False, remove_special: bool = False
    ) -> bytes:
        self._fail()

    def stream(self, *, special: bool = False) -> Stream:
        self._fail()

    def bytes_of_tokens(self) -> list[bytes]:
        self._fail()
