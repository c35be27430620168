"""CUDA: graphics processors by NVIDIA."""

from __future__ import annotations

from typing import Any

from .gpu.cuda import CUDA, found, problem
from .gpu.options import check
from .gpu.runtime import GPU

__all__ = ["create", "found", "problem"]


def create(*, index: int = 0, **options: Any) -> GPU:
    """The backend of one of this machine's devices."""
    return GPU(CUDA("cuda", index), check("cuda", **options))
