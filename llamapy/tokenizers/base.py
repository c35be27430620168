"""What all tokenizers share: special tokens, what stands around a text, and the way back."""

from __future__ import annotations

import codecs
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ..errors import TokenizerError
from .vocabulary import CONTROL, UNKNOWN, Vocabulary

SPACES = b" \t\n\v\f\r"


class Tokenizer(ABC):
    """Text to ids of tokens, and back.

    Ids of special tokens are attributes: bos, eos, eot, eom, sep, pad, unk, mask, nl, fim_pre,
    fim_suf, fim_mid, fim_pad, fim_rep and fim_sep, each None if there is none. `end_tokens` are
    those with which a text ends.
    """

    # special tokens of files that do not name them
    defaults: ClassVar[Mapping[str, int]] = {}

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.vocabulary = Vocabulary(metadata, self.default_ids())
        self.end_tokens = self.vocabulary.ends
        get = self.vocabulary.get
        self.adds_space = bool(get("add_space_prefix", False))
        self.adds_bos = bool(get("add_bos_token", False))
        self.adds_eos = bool(get("add_eos_token", False))
        self.cleans_spaces = False
        self.setup()

    def default_ids(self) -> Mapping[str, int]:
        """Special tokens of a file that does not name them."""
        return self.defaults

    def setup(self) -> None:  # noqa: B027 -- few need it
        """Tables that a kind of tokenizer makes of its vocabulary."""

    def __getattr__(self, name: str) -> int | None:
        ids = self.__dict__["vocabulary"].ids if "vocabulary" in self.__dict__ else {}
        if name in ids:
            found: int | None = ids[name]
            return found
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} tokenizer of {len(self)} tokens>"

    # ---- text to tokens

    @abstractmethod
    def tokenize(self, text: bytes, *, after_special: bool) -> list[int]:
        """The tokens of a piece of UTF-8 text that has no special tokens in it.

        `after_special` says whether it stands at the very beginning, or behind a special token.
        """

    def encode(
        self, text: str | bytes, *, special: bool = False, bos: bool | None = None
    ) -> list[int]:
        """The tokens of a text.

        `special`: special tokens that are written out in it count as such; never do so with text
        from somebody else. `bos`: None puts around it what the file says, False nothing.
        """
        data = text if isinstance(text, bytes) else _utf8(text)
        ids: list[int] = []
        after_special = True
        for part in self._parts(data, special):
            if isinstance(part, int):
                ids.append(part)
            else:
                ids += self.tokenize(part, after_special=after_special)
            after_special = isinstance(part, int)
        if bos is False:
            return ids
        return [*self.before(bos is True), *ids, *self.after()]

    def before(self, wanted: bool = False) -> list[int]:
        """What stands before a text."""
        return self._there("bos") if self.adds_bos or wanted else []

    def after(self) -> list[int]:
        """What stands after a text."""
        return self._there("eos") if self.adds_eos else []

    def _there(self, name: str) -> list[int]:
        id = self.vocabulary.ids[name]
        if id is None:
            raise TokenizerError(
                f"the file says that texts have a {name} token, and not which one it is: pass "
                f"bos=False, or convert the model again"
            )
        return [id]

    @cached_property
    def nl(self) -> int | None:
        """The token of a line's end, or what a model uses for it."""
        ids = self.encode("\n", bos=False)
        return ids[0] if ids else self.vocabulary.ids["pad"]

    @cached_property
    def _special(self) -> dict[bool, dict[bytes, list[tuple[int, bytes]]]]:
        """Special tokens by their first two bytes, the longest first: all, or user-defined ones."""
        found: dict[bool, dict[bytes, list[tuple[int, bytes]]]] = {}
        for all_ in (True, False):
            groups = found.setdefault(all_, {})
            for id in self.vocabulary.special():
                if all_ or self.vocabulary.kinds[id] not in (CONTROL, UNKNOWN):
                    text = self.vocabulary.texts[id].encode()
                    groups.setdefault(text[:2], []).append((id, text))
        return found

    def split(self, text: str, *, special: bool) -> list[bytes | int]:
        """Special tokens in a text, and the UTF-8 between them, for `tokenize`."""
        return self._parts(_utf8(text), special)

    def _parts(self, data: bytes, special: bool) -> list[bytes | int]:
        """The text, split where special tokens are written in it: longer ones go first."""
        if not data:
            return []
        groups = self._special[special]
        there = [token for start, group in groups.items() if start in data for token in group]
        there = [(id, text) for id, text in there if text in data]
        parts: list[bytes | int] = [data]
        for id, text in sorted(there, key=lambda token: -len(token[1])):
            parts = [piece for part in parts for piece in self._split(part, id, text)]
        return parts

    def _split(self, part: bytes | int, id: int, text: bytes) -> Iterator[bytes | int]:
        if isinstance(part, int) or text not in part:
            yield part
            return
        pieces = part.split(text)
        for number, piece in enumerate(pieces):
            if number and id in self.vocabulary.strips_right:
                piece = piece.lstrip(SPACES)
            if number < len(pieces) - 1 and id in self.vocabulary.strips_left:
                piece = piece.rstrip(SPACES)
            if number:
                yield id
            if piece:
                yield piece

    # ---- tokens to text

    @abstractmethod
    def bytes_of_tokens(self) -> list[bytes]:
        """What each token stands for, special ones for their text."""

    @cached_property
    def _pieces(self) -> list[bytes]:
        return self.bytes_of_tokens()

    @cached_property
    def _is_hidden(self) -> np.ndarray:
        kinds = self.vocabulary.kinds
        return (kinds == CONTROL) | (kinds == UNKNOWN)

    def piece(self, id: int, *, special: bool = False) -> bytes:
        """The bytes that a token stands for, maybe part of a character. Control tokens have none,
        or with `special` their text.
        """
        if not 0 <= id < len(self):
            raise TokenizerError(f"token {id} does not exist: ids go from 0 to {len(self) - 1}")
        return b"" if self._is_hidden[id] and not special else self._pieces[id]

    def decode(
        self, ids: Sequence[int], *, special: bool = False, remove_special: bool = False
    ) -> str:
        """The text of tokens. `special` shows control tokens, `remove_special` takes away what
        `encode` put around.
        """
        return self.decode_bytes(ids, special=special, remove_special=remove_special).decode(
            errors="replace"
        )

    def decode_bytes(
        self, ids: Sequence[int], *, special: bool = False, remove_special: bool = False
    ) -> bytes:
        """The text of tokens as bytes, which need not be whole characters."""
        ids = list(map(int, ids))
        drops_space = self.adds_space
        known = self.vocabulary.ids
        if remove_special and self.adds_bos and ids and ids[0] == known["bos"]:
            drops_space = False
            ids = ids[1:]
        if remove_special and self.adds_eos and ids and ids[-1] == known["eos"]:
            ids = ids[:-1]
        pieces = [self.piece(id, special=special) for id in ids]
        if drops_space and pieces and pieces[0][:1] == b" ":
            pieces[0] = pieces[0][1:]
        text = b"".join(pieces)
        return clean_spaces(text) if self.cleans_spaces else text

    def stream(self, *, special: bool = False) -> Stream:
        """Turns tokens into text one by one: `write = tokenizer.stream(); write(id)`."""
        return Stream(self, special)


class Stream:
    """Text of tokens as they come, whole characters only; `finish` gives what is left over."""

    def __init__(self, tokenizer: Tokenizer, special: bool) -> None:
        self._tokenizer, self._special = tokenizer, special
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def __call__(self, id: int) -> str:
        return self._decoder.decode(self._tokenizer.piece(id, special=self._special))

    def finish(self) -> str:
        """The end of the text: half a character becomes U+FFFD."""
        return self._decoder.decode(b"", final=True)


def _utf8(text: str) -> bytes:
    if not isinstance(text, str):
        raise TokenizerError(f"{text!r:.200} is no text: pass a str, or bytes in UTF-8")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise TokenizerError(
            f"the text has half of a surrogate pair at position {error.start}, which no UTF-8 has: "
            f"decode it with errors='replace' where it comes from"
        ) from None


def clean_spaces(text: bytes) -> bytes:
    """Without the spaces that some tokenizers put before punctuation and contractions."""
    text = re.sub(rb" ([?!.,])", rb"\1", text)
    text = re.sub(rb" ' ", b"'", text)
    return re.sub(rb" ('(?:s|m|re|ve))", rb"\1", text)
