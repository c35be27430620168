"""llamapy: llama.cpp as a library in pure Python, on NumPy and Numba.

The public names load on first use, so that `import llamapy` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .errors import (
    Cancelled,
    DeviceUnavailable,
    FormatError,
    ImatrixError,
    LlamapyError,
    OutputError,
    QuantizationError,
    ShapeError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from . import gguf, quants, testing
    from .engine.load import load
    from .engine.quantize import quantize
    from .gguf import GGUF

__all__ = [
    "GGUF",
    "Cancelled",
    "DeviceUnavailable",
    "FormatError",
    "ImatrixError",
    "LlamapyError",
    "OutputError",
    "QuantizationError",
    "ShapeError",
    "UnsupportedError",
    "__version__",
    "gguf",
    "load",
    "quantize",
    "quants",
    "testing",
]

# name -> the module it is in; a name alone is the module itself
_LAZY = {
    "GGUF": "gguf",
    "gguf": "",
    "quants": "",
    "testing": "",
    "load": "engine.load",
    "quantize": "engine.quantize",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'llamapy' has no attribute {name!r}")
    home = _LAZY[name]
    module = importlib.import_module(f".{home or name}", __name__)
    value = globals()[name] = getattr(module, name) if home else module
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
