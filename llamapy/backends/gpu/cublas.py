"""NVIDIA's and AMD's libraries for products of matrices, cuBLAS and hipBLAS, through CuPy."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from .device import Call
from .memory import Buffer

KINDS = {"F32": 0, "F16": 2, "BF16": 14}  # as both libraries number them
COMPUTE_FLOAT32 = 68  # how cuBLAS adds: in float32
KEPT, TURNED = 0, 1
ONE, ZERO = np.ones(1, np.float32), np.zeros(1, np.float32)
BFLOAT_FROM = 80  # compute capability from which tensor cores take bfloat16


class Library:
    """The library on one device: `kind` is what blocks are unpacked to.

    It has a handle of its own, for CuPy's end with the thread that first asks for them.
    """

    def __init__(self, cupy: Any, device: Any, name: str) -> None:
        self._cublas = cupy.cuda.cublas  # in this way, CuPy looks for the library itself
        with device:
            self._handle = self._cublas.create()
        weakref.finalize(self, self._cublas.destroy, self._handle).atexit = False
        has_bfloat = name == "cuda" and int(device.compute_capability) >= BFLOAT_FROM
        self.kind = "BF16" if has_bfloat else "F16"
        self._sums = KINDS["F32"] if name == "rocm" else COMPUTE_FLOAT32

    def product(
        self,
        kind: str,
        out: tuple[Any, int],
        w: tuple[Any, int],
        x: tuple[Any, int],
        sizes: tuple[int, int, int],
        out_row: int,
    ) -> Call:
        """out [n, m] = x [n, k] times w [m, k], each at some byte of its memory.

        To the library, which goes by columns, that is w turned times x.
        """
        n, m, k = sizes

        def multiply(grid: Any, block: Any, args: Any, *, stream: Any) -> None:
            to, weights, rows = (
                int(memory) + offset for memory, (_, offset) in zip(args, (out, w, x), strict=True)
            )
            number = KINDS[kind]
            one, zero = ONE.ctypes.data, ZERO.ctypes.data
            with stream:
                self._cublas.gemmEx(
                    *(self._handle, TURNED, KEPT, m, n, k),
                    *(one, weights, number, k, rows, number, k),
                    *(zero, to, KINDS["F32"], out_row, self._sums, -1),
                )

        args = [_memory(operand) for operand, _ in (out, w, x)]
        return Call(Named(f"product of {kind}", multiply), 1, 1, args)


class Named:
    """A function that is launched as kernels are."""

    def __init__(self, name: str, function: Any) -> None:
        self.name, self._function = name, function

    def __call__(self, *args: Any, **options: Any) -> None:
        self._function(*args, **options)


def _memory(operand: Any) -> Any:
    return operand.handle if isinstance(operand, Buffer) else operand
