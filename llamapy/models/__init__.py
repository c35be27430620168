"""Architectures: a file for each, named as GGUF names it."""

from __future__ import annotations

import difflib
import importlib
import pkgutil

from ..errors import UnsupportedError
from ._decoder import Decoder


def architectures() -> list[str]:
    """The architectures that there are: the folder is the list."""
    return sorted(
        module.name.replace("_", "-")
        for module in pkgutil.iter_modules(__path__)
        if not module.name.startswith("_")
    )


def find(architecture: str) -> type[Decoder]:
    """The class of an architecture, from the file of its name."""
    if architecture not in architectures():
        near = difflib.get_close_matches(architecture, architectures(), 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UnsupportedError(
            f"llamapy has no architecture {architecture!r}{hint}: it has "
            f"{', '.join(architectures())}; a class of your own can be passed as model="
        )
    module = importlib.import_module(f"{__name__}.{architecture.replace('-', '_')}")
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Decoder)
        and value.__module__ == module.__name__
    )


__all__ = ["Decoder", "architectures", "find"]
