"""ROCm: graphics processors by AMD."""

from __future__ import annotations

from typing import Any

from .gpu import cuda
from .gpu.options import check
from .gpu.runtime import GPU


def problem() -> str:
    """Why there is no device; empty if there is one."""
    return cuda.problem("rocm")


def found() -> list[str]:
    """What the devices call themselves."""
    return cuda.found("rocm")


def create(*, index: int = 0, **options: Any) -> GPU:
    """The backend of one of this machine's devices."""
    return GPU(cuda.CUDA("rocm", index), check("rocm", **options))
