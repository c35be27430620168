"""Calls while they are written: what has come of them is given on, and taken back if they are none.

What a draft gives depends on the text alone, and not on where a stream of it was cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator

from .answer import CallPiece, ToolCall
from .reading import Malformed, from_json

NAMES = ("name", "tool_name", "function")
ARGUMENTS = ("arguments", "parameters", "args")
IDS = ("id", "tool_call_id", "call_id")

# what counts in a text of JSON; models write line ends in strings, which JSON has not
IN_ARGUMENTS = re.compile(r'\\.|["{}\[\]\x00-\x1f]', re.DOTALL)
IN_CALL = re.compile(r'\\.|["{}\[\],:]', re.DOTALL)


def checked_name(name: str) -> str:
    """A name of a function: one line without white space in it."""
    name = name.strip()
    if not name or any(character.isspace() for character in name):
        raise Malformed
    return name


class Draft:
    """One call: its name, once that is known, and as much of its arguments as has come."""

    def __init__(self, index: int, name: str, id: str | None) -> None:
        self.index, self.name, self.id = index, name, id
        self.has_begun = self.is_over = False
        self._text, self._given, self._id_given = "", 0, False
        self._held, self._depth, self._in_text = "", 0, False

    def feed(self, text: str) -> int:
        """The arguments go on with this text; how much of it belongs to them."""
        if self.is_over:
            return 0
        if not self.has_begun:
            text_at = len(text) - len(text.lstrip())
            self.is_over = text[text_at : text_at + 1] not in ("{", "")
            if self.is_over or text_at == len(text):
                return len(text)
            self.has_begun = True
            return text_at + self.feed(text[text_at:])
        held, text = len(self._held), self._held + text
        escapes = (len(text) - len(text.rstrip("\\"))) % 2  # a backslash without what it escapes
        self._held = "\\" * escapes
        text, at = text[: len(text) - escapes], 0
        for found in IN_ARGUMENTS.finditer(text):
            symbol = found[0]
            if symbol == '"':
                self._in_text = not self._in_text
            elif symbol < " " and self._in_text:
                self._text += text[at : found.start()] + json.dumps(symbol)[1:-1]
                at = found.end()
            elif symbol in "{}[]" and not self._in_text:
                self._depth += 1 if symbol in "{[" else -1
                if not self._depth:
                    self.is_over = True
                    self._text += text[at : found.end()]
                    return found.end() - held
        self._text += text[at:]
        return len(text) - held + escapes

    def is_clear(self, names: Collection[str]) -> bool:
        """Whether it can be shown: there is such a function, and arguments have begun."""
        name = self.name.strip()
        is_name = bool(name) and not any(map(str.isspace, name))
        return self.has_begun and is_name and (not names or name in names)

    def news(self) -> CallPiece:
        """What has come since the last time."""
        first = not self._given
        text, self._given = self._text[self._given :], len(self._text)
        id = None if self._id_given else self.id
        self._id_given = self.id is not None
        return CallPiece(self.index, self.name.strip() if first else "", text, id)

    def says(self, call: ToolCall) -> bool:
        """Whether it is this call."""
        try:
            arguments = from_json(self._text)
        except Malformed:
            return False
        return (
            self.name.strip() == call.name
            and arguments == call.arguments
            and self.id in (None, call.id)
        )


class Drafts:
    """The calls of an answer that are being written. With `names`, only those are shown early."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._open: list[Draft] = []
        self._pieces: list[CallPiece] = []
        self._n_calls = 0

    def begin(self, name: str = "", id: str | None = None) -> Draft:
        draft = Draft(self._n_calls + len(self._open), name, id)
        self._open.append(draft)
        return draft

    def take(self) -> Iterator[CallPiece]:
        """What is new, of calls that are complete and of others."""
        self._pieces += [draft.news() for draft in self._open if draft.is_clear(self._names)]
        taken, self._pieces = self._pieces, []
        return filter(None, taken)

    def settle(self, calls: list[ToolCall]) -> None:
        """These are the calls that were meant."""
        drafts, self._open = self._open, []
        for number, call in enumerate(calls):
            draft = drafts[number] if len(drafts) == len(calls) else None
            index = self._n_calls + number
            was_shown = any(d.index == index and d.is_clear(self._names) for d in drafts)
            if draft is not None and was_shown and draft.says(call):
                draft.id = call.id
                self._pieces.append(draft.news())
            else:
                arguments = json.dumps(call.arguments, ensure_ascii=False)
                self._pieces.append(CallPiece(index, call.name, arguments, call.id, was_shown))
        self._n_calls += len(calls)
        self._drop([draft for draft in drafts if draft.index >= self._n_calls])

    def drop(self) -> None:
        """There was no call."""
        drafts, self._open = self._open, []
        self._drop(drafts)

    def _drop(self, drafts: list[Draft]) -> None:
        shown = [draft for draft in drafts if draft.is_clear(self._names)]
        self._pieces += [CallPiece(draft.index, is_new=True) for draft in shown]


class CallReader:
    """Finds calls in JSON as it comes: an object with a name and arguments, or a list of them."""

    def __init__(self, drafts: Drafts) -> None:
        self._drafts = drafts
        self._draft: Draft | None = None
        self._depth = self._own = self._level = 0  # of the call, and of its names and arguments
        self._in_text, self._text = False, ""
        self._key: str | None = None

    def feed(self, text: str) -> None:
        """The JSON goes on with this text, in which no escape is cut."""
        at = 0
        while at < len(text):
            draft = self._draft
            if draft is not None and draft.has_begun and not draft.is_over:
                at += draft.feed(text[at:])
                continue
            found = IN_CALL.search(text, at)
            if self._in_text:
                self._text += text[at : found.start() if found else len(text)]
            if not found:
                break
            at = found.end()
            self._symbol(found[0])

    def _symbol(self, symbol: str) -> None:
        if symbol == '"':
            self._in_text = not self._in_text
            if not self._in_text:
                self._string()
            self._text = ""
        elif self._in_text:
            self._text += symbol
        elif symbol in "{[":
            self._open(symbol)
        elif symbol in "}]":
            self._close()
        elif symbol == "," and self._depth == self._level:
            self._key = None

    def _string(self) -> None:
        """A string is complete: a key, or a value that may be a name."""
        if self._draft is None or self._depth != self._level:
            return
        try:
            text = json.loads(f'"{self._text}"', strict=False)
        except ValueError:
            return
        if self._key is None:
            self._key = text
        elif self._key in NAMES and not self._draft.name:
            self._draft.name = text
        elif self._key in IDS and self._draft.id is None:
            self._draft.id = text or None

    def _open(self, symbol: str) -> None:
        is_own = self._draft is not None and self._depth == self._level
        if is_own and symbol == "{" and self._key in ARGUMENTS:
            assert self._draft is not None
            if not self._draft.has_begun:
                self._draft.feed(symbol)
                return
        self._depth += 1
        if self._draft is None and symbol == "{" and self._depth <= 2:
            self._draft = self._drafts.begin()
            self._own = self._level = self._depth
            self._key = None
        elif is_own and symbol == "{" and self._key == "function":
            self._level, self._key = self._depth, None

    def _close(self) -> None:
        self._depth -= 1
        if self._draft is not None and self._depth < self._own:
            self._draft = None
        elif self._depth < self._level:
            self._level, self._key = self._own, "function"
