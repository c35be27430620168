"""The CPU backend: weights laid out for registers, and kernels compiled by Numba."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def problem() -> str:
    """Why kernels cannot be compiled for this machine, or not run; empty if they can."""
    if sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return "its kernels are for 64-bit little-endian processors, and this is another"
    try:
        config = importlib.import_module("numba").config
    except Exception as error:  # whatever a broken installation raises
        return f"Numba cannot be imported ({error})"
    if getattr(config, "DISABLE_JIT", False):
        return "Numba is told to compile nothing (NUMBA_DISABLE_JIT)"
    return ""


def create(**options: Any) -> Any:
    """The backend; its parts, and Numba, are loaded now."""
    # by name, for an import would make every part of this package one of every kernel's sources
    return importlib.import_module(".backend", __name__).create(**options)
