"""NumPy: no kernels at all. Every operation runs its definition, in float32.

This is what all other backends are compared with. It is right for every operation and every block
format, and as slow as its definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UnsupportedError

if TYPE_CHECKING:
    from ..plan import Plan
    from ..tensor import DType


class NumPy:
    """Memory is NumPy arrays; those of block formats hold bytes [..., row_bytes]."""

    name = "numpy"
    kernels: Mapping[str, Callable[..., None]] = {}

    def empty(self, shape: tuple[int, ...], dtype: DType) -> Any:
        if isinstance(dtype, np.dtype):
            return np.empty(shape, dtype)
        return np.zeros((*shape[:-1], dtype.row_bytes(shape[-1])), np.uint8)

    def put(self, array: Any, dtype: DType) -> Any:
        return np.ascontiguousarray(array, dtype if isinstance(dtype, np.dtype) else np.uint8)

    def get(self, buffer: Any, rows: Any = None) -> Any:
        return buffer if rows is None else buffer[rows]

    def write(self, buffer: Any, array: Any, rows: Any = None) -> None:
        buffer[... if rows is None else rows] = array

    def view(self, buffer: Any, shape: tuple[int, ...], dtype: DType) -> Any:
        assert isinstance(dtype, np.dtype)
        if buffer.dtype != dtype or buffer.ndim == 1:
            n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            buffer = buffer.reshape(-1).view(np.uint8)[:n_bytes].view(dtype)
        return buffer.reshape(shape)

    def sync(self) -> None:
        pass  # NumPy returns when it is done

    def compile(self, plan: Plan) -> Callable[[], object]:
        return plan.replay


def create(
    *,
    threads: int | None = None,
    precision: str | None = None,
    deterministic: bool = False,
    n_gpu_layers: int | None = None,
) -> NumPy:
    """The backend. It always computes in float32 and gives the same bits again.

    Of its threads NumPy decides, by `OMP_NUM_THREADS` and its like.
    """
    if n_gpu_layers:
        raise UnsupportedError(
            f"n_gpu_layers is {n_gpu_layers}, and the device numpy has no GPU: leave it out, or "
            f"choose another device"
        )
    if threads is not None:
        raise UnsupportedError(
            "the device numpy takes no threads=: set OMP_NUM_THREADS before NumPy is imported"
        )
    return NumPy()
