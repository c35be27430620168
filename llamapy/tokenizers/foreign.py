"""Patterns from elsewhere, such as a tokenizer.json's, which may take for ever: time is limited."""

from __future__ import annotations

import functools

import numpy as np
import regex
from numpy.typing import NDArray

from ..errors import TokenizerError
from .unicode import utf8

# seconds for each text, and for each million of characters more
SECONDS, SECONDS_PER_MILLION = 2.0, 10.0


class ForeignPattern:
    """A step of a pre-tokenizer: any pattern of the `regex` module.

    Words are what it matches, and what stands between matches.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._compiled = _compiled(pattern)

    def __call__(self, points: NDArray[np.uint32], ends: NDArray[np.int64]) -> NDArray[np.int64]:
        """Part each word, of which the ends are given, into words."""
        text = utf8(points).decode("utf-8", "surrogatepass")
        left = SECONDS + SECONDS_PER_MILLION * len(text) / 1e6
        found: set[int] = set(ends.tolist())
        start = 0
        try:
            for end in ends.tolist():
                # a word is matched as a text of its own
                for match in self._compiled.finditer(text[start:end], timeout=left):
                    found.update((start + match.start(), start + match.end()))
                start = end
        except TimeoutError:
            raise TokenizerError(
                f"the pattern {self.pattern!r:.200} takes more than {left:.0f} s on a text of "
                f"{len(text)} characters: it may be made to; use a known pre-tokenizer, or cut "
                f"the text"
            ) from None
        return np.array(sorted(found - {0}), np.int64)

    def __repr__(self) -> str:
        return f"ForeignPattern({self.pattern!r})"


@functools.cache
def _compiled(pattern: str) -> regex.Pattern[str]:
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise TokenizerError(
            f"the pattern {pattern!r:.200} is none of Python's regex module: {error}; write it so"
        ) from None
