"""A stage that only leaves the tokens that a grammar allows, at once or behind a trigger."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import regex

from .. import grammar as grammars
from ..errors import GrammarError
from .candidates import Candidates
from .stage import Stage

PATTERN_SECONDS = 1.0
ANYTHING = ("[\\s\\S]*?", "[\\s\\S]*", "(?s:.*?)", "(?s:.*)")


@dataclass
class Grammar(Stage):
    """Leave the tokens that a grammar allows (a `Grammar`, or GBNF).

    With `words`, `tokens` or `patterns` it is lazy: all tokens are allowed until the text has one
    of the words, one of the tokens is chosen, or a pattern is found; and the grammar begins with
    that word or token, or with what the pattern's first group found.
    """

    grammar: Any
    tokenizer: Any = field(repr=False)
    words: tuple[str, ...] = ()
    tokens: tuple[int, ...] = ()
    patterns: tuple[str, ...] = ()
    lazy: bool | None = None

    def __post_init__(self) -> None:
        if isinstance(self.grammar, str):
            self.grammar = grammars.from_gbnf(self.grammar)
        if self.lazy is None:
            self.lazy = bool(self.words or self.tokens or self.patterns)
        self._matcher = self.grammar.matcher(self.tokenizer)
        self._triggers = [_Pattern(pattern) for pattern in self.patterns]
        self._words = [word.encode() for word in self.words]
        self.reset()

    def reset(self) -> None:
        self.is_waiting = bool(self.lazy)
        self._text = b""
        self._parts: list[tuple[int, bytes]] = []  # the tokens so far, while one waits
        self._matcher.reset()

    def copy(self) -> Grammar:
        other = copy.copy(self)
        other._matcher = self._matcher.copy()
        other._parts = list(self._parts)
        return other

    @property
    def is_complete(self) -> bool:
        """Whether the text may end here."""
        return self.is_waiting or self._matcher.is_complete

    @property
    def is_finished(self) -> bool:
        """Whether the text has to end here, for nothing else may follow."""
        if self.is_waiting or not self._matcher.is_complete:
            return False
        mask = self._matcher.mask()
        mask[list(self.tokenizer.end_tokens)] = False
        return not mask.any()

    def apply(self, candidates: Candidates) -> None:
        if self.is_waiting or not len(candidates):
            return
        mask = self._matcher.mask()
        known = candidates.ids < len(mask)
        allowed = mask[np.where(known, candidates.ids, 0)] & known
        logits = np.where(allowed, candidates.logits, np.float32(-np.inf))
        if not (logits != -np.inf).any():
            raise GrammarError(
                "the grammar allows none of the tokens that are left: put this stage before those "
                "that cut, or look whether the vocabulary can spell what the grammar wants"
            )
        candidates.set_logits(logits)

    def accept(self, token: int) -> None:
        if not self.is_waiting:
            self._matcher.accept(token)
        elif token in self.tokens:
            self.is_waiting = False
            self._matcher.accept(token)
        else:
            piece = self.tokenizer.piece(token, special=True)
            self._parts.append((token, piece))
            self._text += piece
            start = self._found(len(piece))
            if start is not None:
                self._begin(start)

    def _found(self, n_new: int) -> int | None:
        """Where the text for the grammar begins, if anything has triggered it."""
        starts = [
            self._text.find(word, max(len(self._text) - n_new - len(word) + 1, 0))
            for word in self._words
        ]
        starts = [start for start in starts if start >= 0]
        if starts:
            return min(starts)
        for trigger in self._triggers:
            start = trigger.find(self._text)
            if start is not None:
                return start
        return None

    def _begin(self, start: int) -> None:
        """Catch up with what was written since the trigger."""
        self.is_waiting = False
        at = 0
        for token, piece in self._parts:
            at += len(piece)
            if at > start:
                self._matcher.accept_part(token, piece[max(start - at, -len(piece)) :])
        self._text, self._parts = b"", []


class _Pattern:
    """A trigger's regular expression over bytes. One that begins with anything is tried once."""

    def __init__(self, pattern: str) -> None:
        try:
            self._regex = regex.compile(pattern.encode())
        except regex.error as error:
            raise GrammarError(
                f"the trigger {pattern!r} is no regular expression: {error}; escape what is meant "
                f"as it stands"
            ) from None
        whole = len(pattern) > 1 and pattern.startswith("^") and pattern.endswith("$")
        self._searches = [self._regex.fullmatch] if whole else []
        anchored = pattern.startswith(ANYTHING)
        self._searches.append(self._regex.match if anchored else self._regex.search)

    def find(self, text: bytes) -> int | None:
        """Where the first group that found something begins, or the whole."""
        for search in self._searches:
            try:
                match = search(text, timeout=PATTERN_SECONDS)
            except TimeoutError:
                raise GrammarError(
                    f"the trigger {self._regex.pattern.decode()!r} takes longer than "
                    f"{PATTERN_SECONDS} s to find: write it without nested repetition, or as a word"
                ) from None
            if match:
                groups = range(1, self._regex.groups + 1)
                return next((match.start(g) for g in groups if match.group(g)), match.start())
        return None
