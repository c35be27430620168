"""Byte-pair encodings: text is parted into words, and the letters of each merged into tokens."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..errors import TokenizerError
from .alphabets import (
    MARK,
    SPACE,
    Alphabet,
    ByteLetters,
    CharacterLetters,
    Ends,
    Points,
    visible_bytes,
)
from .base import Tokenizer
from .letters import lowercase
from .merges import Merges
from .pretokenizers import PreTokenizer, pretokenizer
from .unicode import code_points, is_white_space
from .vocabulary import BYTE, CONTROL, NORMAL, PREFIX, UNKNOWN, USER_DEFINED

ALL_WORDS, NO_WORDS = -1, -2


class BPE(Tokenizer):
    """Byte-pair encoding, of bytes as in GPT-2 or of characters, as the pre-tokenizer says."""

    def __init__(
        self, metadata: Mapping[str, Any], pretokenizer: PreTokenizer | None = None
    ) -> None:
        self.pretokenizer = pretokenizer or self.named(metadata)
        if PREFIX + "merges" not in metadata and metadata.get(PREFIX + "pre") != "kimi-k2":
            raise TokenizerError(
                f"the file has no {PREFIX}merges, without which its tokens cannot be found: "
                f"convert the model again"
            )
        kind = ByteLetters if self.pretokenizer.encodes_bytes else CharacterLetters
        merges = Merges(metadata, kind.texts())
        with ThreadPoolExecutor(1) as pool:
            # compiled code makes one table, and Python the others: neither waits for the other
            linked = pool.submit(merges.link)
            super().__init__(metadata)
            linked.result()
        self.alphabet: Alphabet = kind(merges)
        self.whole_from = ALL_WORDS if self.pretokenizer.ignores_merges else NO_WORDS
        if self.pretokenizer.is_gemma and isinstance(self.alphabet, CharacterLetters):
            self.whole_from = self.alphabet.newline
        self._rests: dict[int, list[int]] = {}

    def named(self, metadata: Mapping[str, Any]) -> PreTokenizer:
        """The pre-tokenizer that the file names."""
        return pretokenizer(metadata.get(PREFIX + "pre"))

    def default_ids(self) -> Mapping[str, int]:
        return {"bos": 11, "eos": 11} if self.pretokenizer.has_bos else {"eos": 11}

    def setup(self) -> None:
        how, get = self.pretokenizer, self.vocabulary.get
        self.cleans_spaces = how.cleans_spaces
        self.adds_bos = how.is_gemma or bool(get("add_bos_token", how.adds_bos))

    # ---- text to tokens

    def tokenize(self, text: bytes, *, after_special: bool) -> list[int]:
        points = code_points(text)
        if self.pretokenizer.escapes_spaces:
            points = np.where(points == SPACE, np.uint32(MARK), points)
        return self.merge(points, np.array([len(points)], np.int64))

    def merge(self, points: Points, ends: Ends) -> list[int]:
        """The tokens of parts of a text, which are parted into words first."""
        if not len(points):
            return []
        alphabet = self.alphabet
        letters, ends = alphabet.letters(points, self.pretokenizer(points, ends))
        found = alphabet.merges(letters, ends, self.whole_from)
        ids: list[int] = found.tolist()
        if found.size and found.max() >= len(self):
            ids = [id for number in ids for id in self._tokens(number)]
        return ids

    def _tokens(self, number: int) -> list[int]:
        """The tokens of a text: itself, or what stands for one that is no token."""
        if number < len(self):
            return [number]
        if number not in self._rests:
            known, rest = self.vocabulary.id_of, self.alphabet.rest(number)
            self._rests[number] = [known[each] for each in rest if each in known]
        return self._rests[number]

    # ---- tokens to text

    def bytes_of_tokens(self) -> list[bytes]:
        texts, kinds = self.vocabulary.texts, self.vocabulary.kinds
        odd = np.flatnonzero(kinds != NORMAL).tolist()
        normal = list(texts)
        for id in odd:
            normal[id] = ""
        if self.pretokenizer.escapes_spaces:
            pieces = [text.replace(chr(MARK), " ").encode() for text in normal]
        else:
            pieces = _bytes_of_visible(normal)
        for id in odd:
            pieces[id] = _odd_piece(texts[id], int(kinds[id]))
        return pieces


class HybridDNA(BPE):
    """Byte-pair encoding, but between <dna> and </dna> tokens of six bases each."""

    # what tells CCCCCC as bases from CCCCCC as text
    suffix, length = "\ue000", 6

    def setup(self) -> None:
        super().setup()
        texts, known = self.vocabulary.texts, self.vocabulary.id_of
        self._marks = [known.get(each) for each in ("<dna>", "</dna>", "<oov>")]
        if (unknown := known.get("<oov>")) is not None:
            for id in range(unknown + 1, len(texts)):
                texts[id] = texts[id].removesuffix(self.suffix)

    def tokenize(self, text: bytes, *, after_special: bool) -> list[int]:
        begin, end, unknown = self._marks
        ids: list[int] = []
        if begin is None or end is None or unknown is None:
            return super().tokenize(text, after_special=after_special)
        while text:
            plain, opened, text = text.partition(b"<dna>")
            ids += super().tokenize(plain, after_special=after_special)
            if opened:
                bases, closed, text = text.partition(b"</dna>")
                ids += [begin, *self._groups(bases, unknown), *([end] if closed else [])]
        return ids

    def _groups(self, bases: bytes, unknown: int) -> list[int]:
        """The tokens of six bases each, the last of them filled up with A."""
        length, known = self.length, self.vocabulary.id_of
        upper = bases.upper()
        groups = [
            upper[at : at + length].ljust(length, b"A") for at in range(0, len(upper), length)
        ]
        return [known.get(each.decode(errors="replace") + self.suffix, unknown) for each in groups]


class Whitespace(BPE):
    """Byte-pair encoding of what stands between white space, which is dropped."""

    def setup(self) -> None:
        super().setup()
        by_default = self.vocabulary.get("pre") != "whitespace"
        self.is_lowercase = bool(self.vocabulary.get("normalizer.lowercase", by_default))

    def tokenize(self, text: bytes, *, after_special: bool) -> list[int]:
        points = code_points(text)
        if self.is_lowercase:
            points = lowercase()[points]
        white = is_white_space()[points]
        kept = np.cumsum(~white)
        ends = np.unique(kept[white | (np.arange(len(points)) == len(points) - 1)])
        return self.merge(points[~white], ends[ends > 0])


def _odd_piece(text: str, kind: int) -> bytes:
    """What a token stands for that is not an ordinary one."""
    if kind in (CONTROL, UNKNOWN, USER_DEFINED):
        return text.encode()
    if kind != BYTE:
        return b""
    try:
        return bytes([int(text[3:5], 16)])
    except ValueError:
        raise TokenizerError(
            f"the token {text!r} is said to be a byte, which are written like <0x0A>: convert the "
            f"model again"
        ) from None


def _bytes_of_visible(texts: list[str]) -> list[bytes]:
    """The bytes for which visible characters stand."""
    table = dict.fromkeys(range(256), 0xFFFF) | {ord(c): n for n, c in enumerate(visible_bytes())}
    try:
        whole = "".join(texts).translate(table).encode("latin-1")
    except UnicodeEncodeError:
        return [b"".join(_bytes_of_character(c, text) for c in text) for text in texts]
    ends = np.cumsum([len(text) for text in texts]).tolist()
    return [whole[end - len(text) : end] for text, end in zip(texts, ends, strict=True)]


def _bytes_of_character(character: str, text: str) -> bytes:
    byte = visible_bytes().find(character)
    if byte >= 0:
        return bytes([byte])
    # a vocabulary of another kind; this is what llama.cpp makes of it
    return f"[UNK_BYTE_0x{character.encode().hex()}{text}]".encode()
