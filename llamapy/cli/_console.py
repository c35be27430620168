"""What the commands print with: tables that fit a terminal and are whole in a pipe."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..gguf import Strings
from ..gguf.summary import visible

MOMENT = 0.5  # seconds of work that nobody needs to be told of
PIPE_WIDTH = 100_000  # a pipe has no width: nothing is cut or wrapped there


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # what is done then is decided in one place


def console() -> Console:
    """The standard output, with colour if it is a terminal."""
    terminal = sys.stdout.isatty()
    return _Console(
        file=sys.stdout,
        width=None if terminal else PIPE_WIDTH,
        markup=False,
        highlight=False,
        emoji=False,
    )


def show(value: Any) -> None:
    """Print something that has a table for people and lines for programs."""
    if sys.stdout.isatty():
        console().print(value)
    else:
        print(value)


def table(*columns: str, title: str | None = None) -> Table:
    """A table without frame; a column whose name ends in `>` is aligned to the right."""
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD if sys.stdout.isatty() else None,
        pad_edge=False,
        show_header=any(columns),
        header_style="bold",
    )
    for name in columns:
        numeric = name.endswith(">")
        made.add_column(
            name.removesuffix(">"), justify="right" if numeric else "left", no_wrap=numeric
        )
    return made


def add_row(to: Table, cells: Iterable[object]) -> None:
    """Add a row of values, which are shown as they are and never read as markup."""
    to.add_row(*(cell if isinstance(cell, Text) else Text(visible(str(cell))) for cell in cells))


def visible_lines(text: str) -> str:
    """The same, but lines and tabs stay."""
    return "\n".join(
        "\t".join(visible(part) for part in line.split("\t")) for line in text.split("\n")
    )


def write_json(value: Any) -> None:
    """Print a value as JSON that every parser reads."""
    print(json.dumps(_plain(value), indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    """The value in JSON's own kinds; infinities and NaN, which JSON lacks, become strings."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, Strings):
        return [_plain(value.raw(i)) for i in range(len(value))]
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value]


def count(number: int) -> str:
    """A large number for people: 7.24 B is 7.24 thousand millions."""
    for power, letter in ((12, "T"), (9, "B"), (6, "M"), (3, "K")):
        if number >= 10**power:
            return f"{number / 10**power:.2f} {letter}"
    return str(number)


@contextlib.contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr if that is a terminal, else None: a log has no use for one.

    It appears when the work has taken a moment: what is quick is not told.
    """
    if not sys.stderr.isatty():
        yield None
        return
    bar = _Bar(label)
    try:
        yield bar
    finally:
        bar.close()


class _Bar:
    """A bar that is made when it is time for it."""

    def __init__(self, label: str) -> None:
        self.label, self.begun = label, time.monotonic()
        self.shown: Any = None

    def __call__(self, done: int, total: int) -> None:
        if self.shown is None:
            if time.monotonic() - self.begun < MOMENT:
                return
            from rich.progress import Progress

            self.shown = Progress(console=Console(stderr=True), transient=True)
            self.shown.start()
            self.task = self.shown.add_task(self.label, total=None)
        self.shown.update(self.task, completed=done, total=total)

    def close(self) -> None:
        if self.shown is not None:
            self.shown.stop()
