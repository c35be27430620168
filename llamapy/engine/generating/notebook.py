"""Live text in a notebook's cell. IPython is used where it is loaded already, and nowhere else."""

from __future__ import annotations

import sys
import time
from typing import Any

from .result import as_html

SECONDS = 0.05  # between updates of a page


class _Page:
    """What a cell shows."""

    def __init__(self, stream: Any, footer: str = "") -> None:
        self._html = as_html(stream.parts(), footer)
        self._text = stream.text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return str(self._text)


def show_live(stream: Any) -> None:
    """Read a stream to its end, and show its text as it comes."""
    display = sys.modules["IPython.display"].display
    handle = display(_Page(stream), display_id=True)
    shown = time.monotonic()
    try:
        for _ in stream:
            if time.monotonic() - shown >= SECONDS:
                handle.update(_Page(stream))
                shown = time.monotonic()
    finally:
        footer = stream.result.footer() if stream.is_over else ""
        handle.update(_Page(stream, footer))
