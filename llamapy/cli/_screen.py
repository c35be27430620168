"""Text on the screen while it is generated: plain into a pipe, with its speed on a terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from typing import Any

INTERVAL = 0.2  # seconds between two looks at the speed
ROOM = 16  # columns that the speed takes
DIM, PLAIN = "\x1b[2m", "\x1b[0m"
# the speed is written behind the text, where the cursor stays; nothing of it may wrap
SHOW = "\x1b7\x1b[?7l\x1b[2m  {}\x1b[0m\x1b[?7h\x1b8"
FORGET = "\x1b[K"


class Screen:
    """Writes an answer as it comes. Control characters of a model do not reach a terminal."""

    def __init__(self, shows_speed: bool) -> None:
        self.is_terminal = sys.stdout.isatty()
        self.shows_speed = shows_speed and self.is_terminal
        self.begin()

    def begin(self) -> None:
        """A new answer."""
        self._column, self._n_tokens = 0, 0
        self._first = self._looked = 0.0
        self._speed = ""
        self._is_dim = self._is_shown = False

    def write(self, text: str, n_tokens: int = 0, *, dim: bool = False) -> None:
        """Add text; `n_tokens` were generated for it."""
        if not self.is_terminal:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        from ._console import visible_lines

        shown = visible_lines(text)
        self._forget()
        if dim != self._is_dim:
            sys.stdout.write(DIM if dim else PLAIN)
            self._is_dim = dim
        sys.stdout.write(shown)
        self._move(shown)
        self._count(n_tokens)
        sys.stdout.flush()

    def end(self, *, newline: bool = True) -> None:
        """The answer is whole."""
        self._forget()
        if self._is_dim:
            sys.stdout.write(PLAIN)
        if newline and (self._column or not self.is_terminal):
            sys.stdout.write("\n")
        sys.stdout.flush()
        self.begin()

    def note(self, text: str) -> None:
        """A line that is no part of the answer: it goes beside it."""
        line = f"{DIM}[ {text} ]{PLAIN}" if sys.stderr.isatty() else f"[ {text} ]"
        print(line, file=sys.stderr, flush=True)

    def _move(self, text: str) -> None:
        """Where the cursor stands now, as far as one can know."""
        last = text.rpartition("\n")
        column = len(last[2]) if last[1] else self._column + len(last[2])
        if not text.isascii():
            column += sum(unicodedata.east_asian_width(char) in "WF" for char in last[2])
        self._column = column

    def _count(self, n_tokens: int) -> None:
        """Show how fast it goes, now and then; the first token is the prompt's."""
        now = time.monotonic()
        if not self._n_tokens:
            self._first = self._looked = now
        self._n_tokens += n_tokens
        if now - self._looked > INTERVAL:
            self._speed = f"{(self._n_tokens - 1) / (now - self._first):.1f} t/s"
            self._looked = now
        # behind the last letter of a full line the cursor still stands on it
        column = (self._column - 1) % _width() + 1 if self._column else 0
        if self.shows_speed and self._speed and _width() - column > ROOM:
            sys.stdout.write(SHOW.format(self._speed))
            self._is_shown = True

    def _forget(self) -> None:
        """Take the speed away. Only if it is there: at the right edge this would take a letter."""
        if self._is_shown:
            sys.stdout.write(FORGET)
            self._is_shown = False


def _width() -> int:
    try:
        return max(20, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):
        return 80


@contextlib.contextmanager
def interruptible(stream: Any) -> Iterator[None]:
    """Ctrl-C ends the stream and not the program; a second one is as always."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        stream.cancel()

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
