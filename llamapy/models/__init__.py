"""Architectures: a file for each, named as GGUF names it."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from importlib.metadata import EntryPoint, entry_points

from ..errors import UnsupportedError
from ._aliases import ALIASES, UNDERSCORED
from ._decoder import Decoder
from ._encoder import Encoder, EncoderDecoder

# other packages name their architectures in this group: opt = "their_package.opt:OPT"
ENTRY_POINTS = "llamapy.models"


def architectures() -> list[str]:
    """The architectures that there are, as GGUF spells them: the folder is the list."""
    return sorted({*_ours(), *_from_packages()})


def find(architecture: str) -> type[Decoder]:
    """The class of an architecture, from the file of its name; `-` and `_` are alike.

    What the folder does not have may come from another package's entry point.
    """
    files = {_file_name(name): ALIASES.get(name, name) for name in _ours()}
    file = files.get(_file_name(architecture))
    if file is None:
        return _from_package(architecture)
    module = importlib.import_module(f"{__name__}.{_file_name(file)}")
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Decoder)
        and value.__module__ == module.__name__
    )


def _ours() -> list[str]:
    spelled = {_file_name(name): name for name in UNDERSCORED}
    files = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
    return [*(spelled.get(file, file.replace("_", "-")) for file in files), *ALIASES]


def _from_package(architecture: str) -> type[Decoder]:
    theirs = {_file_name(name): entry for name, entry in _from_packages().items()}
    if (entry := theirs.get(_file_name(architecture))) is None:
        near = difflib.get_close_matches(architecture, architectures(), 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UnsupportedError(
            f"llamapy has no architecture {architecture!r}{hint}: it has "
            f"{', '.join(architectures())}; a class of your own can be passed as model=, and "
            f"docs/adding-an-architecture.md shows how to write one"
        )
    found = entry.load()
    if not (isinstance(found, type) and issubclass(found, Decoder)):
        raise UnsupportedError(
            f"the entry point {entry.value!r} of group {ENTRY_POINTS} gives {found!r}, and not a "
            f"subclass of llamapy.models.Decoder: mend or uninstall that package"
        )
    return found


def _from_packages() -> dict[str, EntryPoint]:
    """What installed packages add."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def _file_name(architecture: str) -> str:
    return architecture.replace("-", "_")


__all__ = ["Decoder", "Encoder", "EncoderDecoder", "architectures", "find"]
