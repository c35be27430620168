"""What tests are made of, public so that those of other projects can use it.

The names load on first use: not every one needs Hypothesis or a compiled kernel.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import hostile, mutants, strategies
    from .backend import check_backend
    from .model import check_model, compare
    from .quant import check_quant
    from .tiny import tiny_model

__all__ = [
    "check_backend",
    "check_model",
    "check_quant",
    "compare",
    "hostile",
    "mutants",
    "strategies",
    "tiny_model",
]

# name -> the module it is in; a name alone is the module itself
_LAZY = {
    "check_backend": "backend",
    "check_model": "model",
    "check_quant": "quant",
    "compare": "model",
    "hostile": "",
    "mutants": "",
    "strategies": "",
    "tiny_model": "tiny",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'llamapy.testing' has no attribute {name!r}")
    home = _LAZY[name]
    module = importlib.import_module(f".{home or name}", __name__)
    value = globals()[name] = getattr(module, name) if home else module
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
