"""Architectures: a file for each, named as GGUF names it."""

from __future__ import annotations

import difflib
import importlib
import pkgutil

from ..errors import UnsupportedError
from ._aliases import ALIASES, UNDERSCORED
from ._decoder import Decoder
from ._encoder import Encoder, EncoderDecoder


def architectures() -> list[str]:
    """The architectures that there are, as GGUF spells them: the folder is the list."""
    spelled = {_file_name(name): name for name in UNDERSCORED}
    files = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
    return sorted([*(spelled.get(file, file.replace("_", "-")) for file in files), *ALIASES])


def find(architecture: str) -> type[Decoder]:
    """The class of an architecture, from the file of its name; `-` and `_` are alike."""
    files = {_file_name(name): ALIASES.get(name, name) for name in architectures()}
    file = files.get(_file_name(architecture))
    if file is None:
        near = difflib.get_close_matches(architecture, architectures(), 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UnsupportedError(
            f"llamapy has no architecture {architecture!r}{hint}: it has "
            f"{', '.join(architectures())}; a class of your own can be passed as model="
        )
    module = importlib.import_module(f"{__name__}.{_file_name(file)}")
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Decoder)
        and value.__module__ == module.__name__
    )


def _file_name(architecture: str) -> str:
    return architecture.replace("-", "_")


__all__ = ["Decoder", "Encoder", "EncoderDecoder", "architectures", "find"]
