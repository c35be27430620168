"""A backend on which nothing is computed: its memory is sizes, its kernels do nothing.

What runs on it takes the same path as on the backend that it stands for, so that its sums are what
that one would allocate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import Backend
from ..ops import OPERATIONS
from ..quants.base import Quant
from ..tensor import FLOAT32, DType

# what each thread of compiled kernels keeps for itself, as measured
THREAD_ROOM = 512 << 10

# how many arrays of its result's size NumPy's definition has at once, as measured
NUMPY_ARRAYS = {"attention_softmax": 7}


class Piece:
    """Memory that is not there. What it would take counts as long as it lives."""

    def __init__(self, counting: Counting, n_bytes: int, array: Any = None) -> None:
        self.counting, self.n_bytes, self.array = counting, n_bytes, array
        counting.add(n_bytes)

    def __del__(self) -> None:
        self.counting.live -= self.n_bytes


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """A piece as values of some shape."""

    piece: Piece
    shape: tuple[int, ...]
    dtype: DType


class Counting:
    """In place of another backend: the same operations in the same order, and only sizes."""

    def __init__(self, backend: Backend) -> None:
        self.name, self.live, self.peak = backend.name, 0, 0
        self.kernels: Any = Silent(self, backend.kernels)
        team = getattr(backend, "team", None)
        self.thread_room = THREAD_ROOM * team.threads if team is not None else 0

    def add(self, n_bytes: int) -> None:
        self.live += n_bytes
        self.peak = max(self.peak, self.live)

    def empty(self, shape: tuple[int, ...], dtype: DType) -> Buffer:
        return Buffer(Piece(self, _n_bytes(shape, dtype)), shape, dtype)

    def put(self, array: Any, dtype: DType) -> Buffer:
        array = np.asarray(array)
        n_bytes, shape = array.nbytes, array.shape
        if isinstance(dtype, type):
            columns = shape[-1] // dtype.layout.itemsize * dtype.block
            shape = (*shape[:-1], columns)
            n_bytes = self._packed_bytes(shape, dtype)
        return Buffer(Piece(self, n_bytes, array), shape, dtype)

    def _packed_bytes(self, shape: tuple[int, ...], quant: type[Quant]) -> int:
        """What weights take in the layout that the device likes."""
        if self.name == "cpu" and len(shape) in (2, 3):
            from ..backends.cpu.formats import LAYOUTS

            if quant.name in LAYOUTS:
                matrices, (rows, columns) = math.prod(shape[:-2]), shape[-2:]
                return matrices * LAYOUTS[quant.name].packed_bytes(rows, columns)
        return _n_bytes(shape, quant)

    def get(self, buffer: Buffer, rows: Any = None) -> Any:
        array = buffer.piece.array
        if array is None:
            shape, dtype = buffer.shape, buffer.dtype
            if isinstance(dtype, type):
                shape, dtype = (*shape[:-1], dtype.row_bytes(shape[-1])), np.dtype(np.uint8)
            array = np.broadcast_to(np.zeros((), dtype), shape)
        return array if rows is None else array[rows]

    def write(self, buffer: Buffer, array: Any, rows: Any = None) -> None:
        pass

    def view(self, buffer: Buffer, shape: tuple[int, ...], dtype: DType) -> Buffer:
        return Buffer(buffer.piece, shape, dtype)

    def sync(self) -> None:
        pass

    def compile(self, plan: Any) -> Callable[[], object]:
        return lambda: None


class Silent(Mapping[str, Callable[..., None]]):
    """Kernels that do nothing, of the same names; nor does an operation's definition."""

    def __init__(self, counting: Counting, kernels: Mapping[str, Any]) -> None:
        self._counting, self._kernels = counting, kernels

    def __getitem__(self, name: str) -> Callable[..., None]:
        if name in self._kernels:
            return _nothing

        def define(out: Buffer, *buffers: Buffer | None, **params: Any) -> None:
            # what NumPy has at the same time: the result, and packed operands as numbers
            base = name.partition(".")[0]
            extra = _n_bytes(out.shape, FLOAT32) * NUMPY_ARRAYS.get(base, 1)
            for operand, buffer in zip(OPERATIONS[base].signature.operands, buffers, strict=True):
                is_cells = operand.kind == "rows" and base.startswith("attention")
                if buffer is None or not (is_cells or isinstance(buffer.dtype, type)):
                    continue
                if is_cells:  # those of a sequence are taken out first
                    extra += _n_bytes(buffer.shape, buffer.dtype)
                if isinstance(buffer.dtype, type) and (is_cells or operand.kind != "rows"):
                    extra += _n_bytes(buffer.shape, FLOAT32)
            if OPERATIONS[base].signature.writes is None:
                self._counting.add(extra)
                self._counting.live -= extra

        return define

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._kernels

    def __iter__(self) -> Iterator[str]:
        return iter(self._kernels)

    def __len__(self) -> int:
        return len(self._kernels)


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _n_bytes(shape: tuple[int, ...], dtype: DType) -> int:
    if isinstance(dtype, type):
        return math.prod(shape[:-1]) * dtype.row_bytes(shape[-1])
    return math.prod(shape) * dtype.itemsize
