"""Block formats: every ggml type, as bytes, as NumPy definitions and as compiled kernels.

>>> import numpy as np
>>> rows = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
>>> raw = get("Q8_0").quantize(rows)
>>> raw.shape, raw.dtype
((2, 34), dtype('uint8'))
>>> float(np.abs(get("Q8_0").dequantize(raw, rows.shape) - rows).max()) < 0.005
True

The folder is the list: a file in it that subclasses `Quant` adds a format, and so does a subclass
anywhere else, once its module is imported.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from ..errors import UnsupportedError
from .base import Quant, _by_id, _by_name

__all__ = ["Quant", "formats", "get"]


@functools.cache
def _load_all() -> None:
    for module in pkgutil.iter_modules(__path__):
        if not module.ispkg:
            importlib.import_module(f"{__name__}.{module.name}")


def get(name: str | int | type[Quant]) -> type[Quant]:
    """The block format of this name or ggml type number."""
    if isinstance(name, type) and issubclass(name, Quant):
        return name
    _load_all()
    found = _by_name.get(name.upper()) if isinstance(name, str) else _by_id.get(int(name))  # type: ignore[call-overload]
    if found is None and isinstance(name, str):
        found = next((q for q in _by_name.values() if q.name.lower() == name.lower()), None)
    if found is None:
        kind = "name" if isinstance(name, str) else "ggml type number"
        raise UnsupportedError(
            f"no block format has the {kind} {name!r}: there are {', '.join(sorted(_by_name))}"
        )
    return found


def formats() -> list[type[Quant]]:
    """All block formats, in the order of their ggml type numbers."""
    _load_all()
    return [_by_id[key] for key in sorted(_by_id)]
