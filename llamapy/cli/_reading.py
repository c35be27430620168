"""What a person types in a chat: lines with a history, several lines as one message."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_LINES = 1000  # of the history
WAKING = 0.25  # seconds
BLOCK = '"""'


class Reader:
    """Reads messages. A line that ends in a backslash goes on, and so does one that opens with
    three quotes, until three quotes end a line.
    """

    def __init__(self, prompt: str = "> ", more: str = "  ") -> None:
        self.prompt, self.more = prompt, more
        self._readline = _line_editor()
        if self._readline is not None:
            with contextlib.suppress(OSError):
                self._readline.read_history_file(str(history_file()))

    def message(self) -> str:
        """The next message; EOFError at the end, KeyboardInterrupt on Ctrl-C."""
        first = self._line(self.prompt)
        if first.strip().startswith(BLOCK):
            return self._block(first.strip()[len(BLOCK) :])
        lines = [first]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(self._line(self.more))
        return "\n".join(lines)

    def _block(self, first: str) -> str:
        lines = [first]
        while not lines[-1].rstrip().endswith(BLOCK):
            lines.append(self._line(self.more))
        lines[-1] = lines[-1].rstrip()[: -len(BLOCK)]
        return "\n".join(lines).strip("\n")

    def _line(self, prompt: str) -> str:
        with _awake() if self._readline is not None else contextlib.nullcontext():
            line = input(prompt)
        # what cannot be decoded comes as half a pair, which no tokenizer takes
        return line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def keep(self) -> None:
        """Write the history down, for nobody but this user."""
        if self._readline is None:
            return
        path = history_file()
        with contextlib.suppress(OSError):  # a chat is worth more than its history
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._readline.set_history_length(MOST_LINES)
            self._readline.write_history_file(str(path))


@contextlib.contextmanager
def _awake() -> Iterator[None]:
    """See Ctrl-C while waiting for keys, within a moment.

    Python looks for it when a signal breaks its waiting off. One that comes just before it begins
    to wait breaks nothing off, and would be seen after the next one only: so a clock rings.
    """
    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, WAKING, WAKING)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)


def _line_editor() -> Any:
    """readline, where a person types and this system has it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    try:
        import readline
    except ImportError:
        return None
    return readline


def history_file() -> Path:
    """Where the history of chats is kept."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "llamapy" / "history"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "llamapy" / "history"
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "llamapy" / "history"
