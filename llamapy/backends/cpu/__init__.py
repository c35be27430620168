"""The CPU backend: weights laid out for registers, and kernels compiled by Numba."""

from __future__ import annotations

import importlib
from typing import Any


def create(**options: Any) -> Any:
    """The backend; its parts, and Numba, are loaded now."""
    # by name, for an import would make every part of this package one of every kernel's sources
    return importlib.import_module(".backend", __name__).create(**options)
