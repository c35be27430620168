"""A tensor: an array on a backend, whose elements are numbers or the blocks of a format.

A tensor carries its backend, so that an operation knows where to run. Its lease, if it has one,
gives the memory back to a plan's arena when the last tensor that uses it is gone: reference
counts are the liveness analysis, and a view, sharing its owner's lease, keeps the memory alive.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import ShapeError, UnsupportedError
from .quants.base import Quant

if TYPE_CHECKING:
    from .backends import Backend

DType: TypeAlias = "np.dtype[Any] | type[Quant]"
FLOAT32: np.dtype[Any] = np.dtype(np.float32)
INT32: np.dtype[Any] = np.dtype(np.int32)


class Tensor:
    """An array on a backend. The shape counts values: rows first, whatever a block packs.

    `buffer` is the backend's own object; only the backend and its kernels look into it.
    """

    __slots__ = ("__weakref__", "backend", "buffer", "dtype", "lease", "name", "shape")

    def __init__(
        self,
        buffer: Any,
        shape: tuple[int, ...],
        dtype: DType,
        backend: Backend,
        *,
        lease: object = None,
        name: str = "",
    ) -> None:
        self.buffer, self.shape, self.dtype, self.backend = buffer, shape, dtype, backend
        self.lease, self.name = lease, name

    @classmethod
    def of(cls, array: Any, backend: Backend, *, name: str = "") -> Tensor:
        """The numbers of an array on a backend: whole numbers as int32, all others as float32."""
        array = np.asarray(array)
        dtype = INT32 if array.dtype.kind in "iub" else FLOAT32
        array = np.ascontiguousarray(array, dtype).reshape(array.shape)
        return cls(backend.put(array, dtype), array.shape, dtype, backend, name=name)

    @classmethod
    def packed(
        cls, raw: Any, shape: tuple[int, ...], quant: type[Quant], backend: Backend, name: str = ""
    ) -> Tensor:
        """The values of `shape` that the bytes `raw` [..., row_bytes] hold in a block format."""
        return cls(backend.put(raw, quant), tuple(shape), quant, backend, name=name)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many values there are."""
        return math.prod(self.shape)

    @property
    def quant(self) -> type[Quant] | None:
        """The block format of the elements; None for plain numbers."""
        return self.dtype if isinstance(self.dtype, type) else None

    def view(self, *shape: int) -> Tensor:
        """The same memory in another shape; one size may be -1."""
        if -1 in shape:
            rest = -math.prod(shape)
            shape = tuple(self.size // rest if n == -1 and rest else n for n in shape)
        if math.prod(shape) != self.size or self.quant:
            raise ShapeError(
                f"{self!s} cannot be viewed as {list(shape)}: "
                + ("its elements are blocks" if self.quant else f"that is not {self.size} values")
            )
        buffer = self.backend.view(self.buffer, shape, self.dtype)
        return Tensor(buffer, shape, self.dtype, self.backend, lease=self.lease, name=self.name)

    def is_on(self, backend: Backend) -> bool:
        """Whether the values lie on this backend, be it as one of several."""
        return self.backend is backend or backend in getattr(self.backend, "parts", ())

    def on(self, backend: Backend) -> Tensor:
        """The tensor there; of one that is everywhere, the copy that is there."""
        if self.backend is backend:
            return self
        buffer = self.backend.of_part(self.buffer, backend)  # type: ignore[attr-defined]
        return Tensor(buffer, self.shape, self.dtype, backend, lease=self.lease, name=self.name)

    def unleased(self) -> Tensor:
        """The same memory, without keeping it from being reused: for a plan, which knows when."""
        return Tensor(self.buffer, self.shape, self.dtype, self.backend, name=self.name)

    def numpy(self) -> NDArray[Any]:
        """The values on the host: float32 or int32. On a host backend of numbers, not a copy."""
        if getattr(self.lease, "recording", False):
            raise UnsupportedError(
                "values cannot be read while a plan is recorded, for a replay would not read them "
                "again: compute with operations, and look at values with see() and watch="
            )
        array = self.backend.get(self.buffer)
        return self.quant.dequantize(array, self.shape) if self.quant else array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        array = self.numpy()
        return array.copy() if copy else np.asarray(array, dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __add__(self, other: Tensor) -> Tensor:
        from .ops import add

        return add(self, other)

    def __mul__(self, other: Tensor) -> Tensor:
        from .ops import mul

        return mul(self, other)

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"Tensor{name} {list(self.shape)} {dtype_name(self.dtype)} on {self.backend.name}"

    def __repr__(self) -> str:
        values = np.array2string(self.unleased().numpy(), precision=4, threshold=60, edgeitems=3)
        return f"{self}\n{values}"


def dtype_name(dtype: DType) -> str:
    """float32, int32, Q4_K ..."""
    return dtype.name
