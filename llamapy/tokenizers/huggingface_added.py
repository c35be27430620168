"""Added tokens of a tokenizer.json, found in a text as the tokenizers package finds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import regex

from .base import Tokenizer
from .vocabulary import CONTROL, UNKNOWN

WORD = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]"
BEFORE, BEHIND = regex.compile(rf"{WORD}\Z"), regex.compile(WORD)
SPACE_BEFORE, SPACE_BEHIND = (
    regex.compile(r"\p{White_Space}+\Z"),
    regex.compile(r"\p{White_Space}*"),
)


class AddedTokens(Tokenizer):
    """From left to right, the longest that stands at a place counts. One that must be a word of its
    own counts only between what is no letter; others may take the white space beside them.
    """

    def add(self, tokens: Iterable[Mapping[str, Any]]) -> None:
        """These are the tokens, as the file describes them."""
        self._added = {token["content"]: token for token in tokens if token["content"]}
        longest_first = sorted(self._added, key=len, reverse=True)
        self._any_added = regex.compile("|".join(map(regex.escape, longest_first)) or r"(?!)")

    def _parts(self, data: bytes, special: bool) -> list[bytes | int]:
        text = data.decode(errors="surrogateescape")
        parts: list[bytes | int] = []
        at = 0

        def pass_on(end: int) -> None:
            if at < end:
                parts.append(text[at:end].encode(errors="surrogateescape"))

        for found in self._any_added.finditer(text):
            token = self._added[found[0]]
            start, end = found.span()
            if not special and self.vocabulary.kinds[token["id"]] in (CONTROL, UNKNOWN):
                continue
            if token.get("single_word") and not self._is_word(text, start, end):
                continue
            if token.get("lstrip"):
                space = SPACE_BEFORE.search(text, at, start)
                start = space.start() if space else start
            if token.get("rstrip"):
                space = SPACE_BEHIND.match(text, end)
                end = space.end() if space else end
            pass_on(start)
            parts.append(int(token["id"]))
            at = max(at, end)
        pass_on(len(text))
        return parts

    @staticmethod
    def _is_word(text: str, start: int, end: int) -> bool:
        """Whether no word goes on beside this."""
        return not BEFORE.search(text, max(0, start - 1), start) and not BEHIND.match(text, end)
