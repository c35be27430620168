"""One line, and the model that ships with llamapy answers. It is loaded once, and kept."""

from __future__ import annotations

import functools
import threading
from typing import Any

from ..load import load
from ..model import Model

_lock = threading.Lock()


@functools.cache
def _loaded() -> Model:
    return load()


def default_model() -> Model:
    """The default model, loaded on first use."""
    with _lock:
        return _loaded()


def quick_complete(prompt: str, **options: Any) -> str:
    """How the default model continues a text; options are those of `Model.generate`."""
    return str(default_model().generate(prompt, **options))


def quick_chat(message: Any, **options: Any) -> str:
    """What the default model answers; options are those of `Model.chat`."""
    return str(default_model().chat(message, **options))
