"""OpenCL: graphics processors of every make, and with PoCL the processor itself."""

from __future__ import annotations

from typing import Any

from .gpu.opencl import OpenCL, found, problem, problem_of_auto
from .gpu.options import check
from .gpu.runtime import GPU

__all__ = ["create", "found", "problem", "problem_of_auto"]


def create(*, index: int = 0, **options: Any) -> GPU:
    """The backend of one of this machine's devices; graphics processors come first."""
    return GPU(OpenCL(index), check("opencl", **options))
