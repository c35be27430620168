"""SentencePiece's models, turned into the metadata of a GGUF file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, TokenizerError
from .base import Tokenizer
from .charsmap import Normalizer
from .pieces import SPACE
from .protobuf import content, fields, number, real
from .spm import SPM
from .unicode import code_points, utf8
from .unigram import Unigram
from .vocabulary import KEYS, NORMAL, PREFIX, USER_DEFINED

MAX_BYTES = 1 << 28
UNIGRAM, PAIRS = 1, 2
# fields of a model, of a piece, and of what is said about training and normalizing
PIECES, TRAINING, NORMALIZING = 1, 2, 3
TEXT, SCORE, KIND = 1, 2, 3
MODEL_TYPE, SUFFIX, BYTES, UNK, BOS, EOS, PAD = 3, 24, 35, 40, 41, 42, 43
CHARSMAP, DUMMY_PREFIX, MERGES_SPACES, ESCAPES_SPACES = 2, 3, 4, 5


class AsTrained(Tokenizer):
    """Prepares text as SentencePiece does: once for all of it, whatever special tokens are in it.

    GGUF files ask for something else, with a space behind each special token.
    """

    def setup(self) -> None:
        get, vocabulary = self.vocabulary.get, self.vocabulary
        super().setup()
        self.merges_spaces = bool(get("remove_extra_whitespaces"))
        self.has_suffix = bool(get("treat_whitespace_as_suffix"))
        kept = np.flatnonzero(vocabulary.kinds_in_file == USER_DEFINED).tolist()
        self._replace = Normalizer(
            get("precompiled_charsmap", ()),
            kept=[vocabulary.texts[id].encode() for id in kept],
            space=b" ",
        )

    def encode(
        self, text: str | bytes, *, special: bool = False, bos: bool | None = None
    ) -> list[int]:
        data = text if isinstance(text, bytes) else text.encode(errors="replace")
        ids: list[int] = []
        parts = self._parts(utf8(code_points(data)), special)
        for at, part in enumerate(parts):
            if isinstance(part, int):
                ids.append(part)
            else:
                ids += self.spell(self._prepared(part, at == 0, at == len(parts) - 1))
        return ids if bos is False else [*self.before(bos is True), *ids, *self.after()]

    def _prepared(self, text: bytes, first: bool, last: bool) -> NDArray[np.uint8]:
        data = self._replace(text).tobytes()
        if self.merges_spaces:
            n_characters = len(code_points(text))
            if data == b" " * n_characters and first:
                return np.zeros(0, np.uint8)  # nothing but spaces, and nothing that was taken out
            data = re.sub(rb"  +", b" ", data)
            data = data.lstrip(b" ") if first else data
        if self.adds_space and not self.has_suffix and first:
            data = b" " + data
        if self.merges_spaces and last:
            data = data.rstrip(b" ")
        if self.adds_space and self.has_suffix and last:
            data += b" "
        return np.frombuffer(data.replace(b" ", SPACE), np.uint8)

    def spell(self, data: NDArray[np.uint8]) -> list[int]:
        """The tokens of a text in which ▁ stands for spaces."""
        raise NotImplementedError


class SentencePiecePairs(AsTrained, SPM):
    """A model that merges pairs."""

    spell = SPM.spell


class SentencePieceUnigram(AsTrained, Unigram):
    """A model that finds the likeliest tokens."""

    spell = Unigram.spell


def from_sentencepiece(source: str | os.PathLike[str] | bytes) -> Tokenizer:
    """The tokenizer of a SentencePiece model: its path, or its bytes."""
    if not isinstance(source, bytes):
        path = Path(source)
        if path.stat().st_size > MAX_BYTES:
            raise TokenizerError(f"{path} has more than {MAX_BYTES} bytes: it is no model of text")
        source = path.read_bytes()
    rows: list[tuple[str, float, int]] = []
    training: dict[int, Any] = {MODEL_TYPE: UNIGRAM, SUFFIX: 0, BYTES: 0}
    training |= {UNK: 0, BOS: 1, EOS: 2, PAD: -1}
    normalizing: dict[int, Any] = {DUMMY_PREFIX: 1, MERGES_SPACES: 1, ESCAPES_SPACES: 1}
    for field, value in fields(memoryview(source)):
        if field == PIECES:
            rows.append(_piece(content(value)))
        elif field == TRAINING:
            training |= _numbers(content(value), training)
        elif field == NORMALIZING:
            message = content(value)
            normalizing |= _numbers(message, normalizing)
            tables = [each for key, each in fields(message) if key == CHARSMAP]
            normalizing[CHARSMAP] = np.frombuffer(content(tables[-1]) if tables else b"", np.uint8)
    kinds = {PAIRS: ("llama", SentencePiecePairs), UNIGRAM: ("t5", SentencePieceUnigram)}
    kind = training[MODEL_TYPE]
    if kind not in kinds or not normalizing[ESCAPES_SPACES]:
        raise TokenizerError(
            f"the model is of type {kind} with escape_whitespaces={normalizing[ESCAPES_SPACES]}, "
            f"and only 1 (unigram) and 2 (pairs) with ▁ for spaces are known: train one of those"
        )
    if not rows:
        raise TokenizerError("the model has no pieces: it is not from SentencePiece")
    model, tokenizer = kinds[kind]
    metadata: dict[str, Any] = {PREFIX + keys[0]: None for keys in KEYS.values()}
    ids = {"unknown": UNK, "bos": BOS, "eos": EOS, "padding": PAD}
    for name, field in ids.items():
        metadata[f"{PREFIX}{name}_token_id"] = training[field] if training[field] >= 0 else None
    return tokenizer(
        metadata
        | {
            PREFIX + "model": model,
            PREFIX + "tokens": [row[0] for row in rows],
            PREFIX + "scores": np.array([row[1] for row in rows], np.float32),
            PREFIX + "token_type": np.array([row[2] for row in rows], np.int32),
            PREFIX + "add_space_prefix": bool(normalizing[DUMMY_PREFIX]),
            PREFIX + "remove_extra_whitespaces": bool(normalizing[MERGES_SPACES]),
            PREFIX + "treat_whitespace_as_suffix": bool(training[SUFFIX]),
            PREFIX + "byte_fallback": bool(training[BYTES]),
            PREFIX + "precompiled_charsmap": normalizing.get(CHARSMAP, ()),
            PREFIX + "add_bos_token": False,
            PREFIX + "add_eos_token": False,
        }
    )


def _piece(message: memoryview) -> tuple[str, float, int]:
    text, score, kind = "", 0.0, NORMAL
    for field, value in fields(message):
        if field == TEXT:
            try:
                text = bytes(content(value)).decode()
            except UnicodeDecodeError:
                raise FormatError(
                    "a piece that is no UTF-8: the file is no SentencePiece model"
                ) from None
        elif field == SCORE:
            score = real(value)
        elif field == KIND:
            kind = number(value)
    return text, score, kind


def _numbers(message: memoryview, wanted: dict[int, Any]) -> dict[int, int]:
    return {
        field: number(value)
        for field, value in fields(message)
        if field in wanted and field != CHARSMAP
    }
