"""Text that comes in pieces, read as if it were there: readers are generators that wait for more.

So a dialect is written once, top-down, and where a stream is cut cannot change what it reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Sequence
from functools import lru_cache
from typing import Any, NoReturn, Protocol, TypeVar

T = TypeVar("T")
Reading = Generator[None, None, T]  # gives T in the end, and yields where text is missing

JSON_SYMBOLS = re.compile(r'\\(?:.|\Z)|["{}\[\]]', re.DOTALL)


class Watcher(Protocol):
    """Who wants to see text while it is read; of text that ends too early maybe not the end."""

    def feed(self, text: str) -> Any: ...


class Malformed(Exception):
    """The text is not what was expected: it stays text."""


class Reader:
    """Text that has come so far, and the place up to which it was read."""

    def __init__(self) -> None:
        self.text, self.at, self.ended = "", 0, False
        self._absent: dict[tuple[str, ...], int] = {}

    def more(self) -> Reading[bool]:
        """Wait for more text; False if the end was there already."""
        if self.ended:
            return False
        yield
        return True

    def forget(self) -> None:
        """What was read is not needed any more."""
        if not self.ended:
            self.text, self.at = self.text[self.at :], 0

    def until(self, *ends: str, watcher: Watcher | None = None) -> Reading[tuple[str, str]]:
        """The text before the first of these, and which one it was; both are read."""
        if self.ended and self.at >= self._absent.get(ends, len(self.text) + 1):
            raise Malformed
        pattern = any_of(ends)
        start = seen = self.at
        while not (found := pattern.search(self.text, seen)):
            old, seen = seen, max(seen, len(self.text) - longest(ends) + 1)
            if watcher is not None:
                watcher.feed(self.text[old:seen])
            if not (yield from self.more()):
                self._absent[ends] = start
                raise Malformed
        if watcher is not None:
            watcher.feed(self.text[seen : found.start()])
        self.at = found.end()
        return self.text[start : found.start()], found[0]

    def rest(self, *ends: str, watcher: Watcher | None = None) -> Reading[str]:
        """The text before the first of these, which is read, or before the end of all."""
        start = self.at
        try:
            return (yield from self.until(*ends, watcher=watcher))[0]
        except Malformed:
            self.at = len(self.text)
            return self.text[start:]

    def peek(self, count: int) -> Reading[str]:
        """So many characters, or fewer at the end; they are not read."""
        while len(self.text) < self.at + count and (yield from self.more()):
            pass
        return self.text[self.at : self.at + count]

    def skip(self, *options: str) -> Reading[bool]:
        """Read one of these, if it stands here."""
        here = yield from self.peek(longest(options))
        for option in options:
            if here.startswith(option):
                self.at += len(option)
                return True
        return False

    def expect(self, *options: str) -> Reading[None]:
        if not (yield from self.skip(*options)):
            raise Malformed

    def space(self) -> Reading[None]:
        """Read white space, if any."""
        while (yield from self.peek(1)).isspace():
            self.at += 1

    def is_end(self) -> Reading[bool]:
        return not (yield from self.peek(1))

    def json(self, watcher: Watcher | None = None) -> Reading[Any]:
        """A JSON object or array, with white space before it."""
        yield from self.space()
        if (yield from self.peek(1)) not in ("{", "["):
            raise Malformed
        start = place = seen = self.at
        depth, in_text = 0, False
        while True:
            for found in JSON_SYMBOLS.finditer(self.text, place):
                symbol = found[0]
                if symbol == "\\":  # what it escapes has not come yet
                    place = found.start()
                    break
                place = found.end()
                if symbol == '"':
                    in_text = not in_text
                elif symbol[0] != "\\" and not in_text:
                    depth += 1 if symbol in "{[" else -1
                    if not depth:
                        self.at = place
                        if watcher is not None:
                            watcher.feed(self.text[seen:place])
                        return from_json(self.text[start:place])
            else:
                place = len(self.text)
            if watcher is not None:
                watcher.feed(self.text[seen:place])
            seen = place
            if not (yield from self.more()):
                raise Malformed


def from_json(text: str) -> Any:
    """A value, or Malformed; models write line ends in strings, and that is fine."""
    try:
        return json.loads(text, strict=False, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Malformed from None


def _refuse(constant: str) -> NoReturn:
    raise Malformed


@lru_cache(maxsize=256)
def any_of(texts: tuple[str, ...]) -> re.Pattern[str]:
    """A pattern for any of these texts, longer ones first."""
    return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))))


def longest(texts: Sequence[str]) -> int:
    return max(map(len, texts))


def half_mark(text: str, start: int, marks: Sequence[str]) -> int:
    """How many characters at the end may be the beginning of a mark."""
    most = min(len(text) - start, longest(marks) - 1)
    for count in range(most, 0, -1):
        end = text[-count:]
        if any(mark.startswith(end) for mark in marks):
            return count
    return 0
