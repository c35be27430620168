"""Which block formats there are: the folder is the list."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from ..errors import UnsupportedError
from .base import Quant, _by_id, _by_name


@functools.cache
def _load_all() -> None:
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            importlib.import_module(f"{__package__}.{module.name}")


def get(name: str | int | type[Quant]) -> type[Quant]:
    """The block format of this name or ggml type number."""
    if isinstance(name, type) and issubclass(name, Quant):
        return name
    _load_all()
    found: type[Quant] | None
    if isinstance(name, str):
        kind = "name"
        found = _by_name.get(name) or next(
            (quant for quant in _by_name.values() if quant.name.lower() == name.lower()), None
        )
    else:
        kind = "ggml type number"
        found = _by_id.get(int(name))
    if found is None:
        raise UnsupportedError(
            f"no block format has the {kind} {name!r}: there are {', '.join(sorted(_by_name))}"
        )
    return found


def formats() -> list[type[Quant]]:
    """All block formats, in the order of their ggml type numbers."""
    _load_all()
    return [_by_id[key] for key in sorted(_by_id)]
