"""What attention remembers: a key and a value for each cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import ops
from ..backends import Backend
from ..errors import ShapeError, UnsupportedError
from ..quants.base import Quant
from ..tensor import DType, Tensor
from .step import Step
from .table import PAGE, Cells, Table

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]


class KV:
    """The keys and values of one layer, float32 or in a block format.

    The model says how many heads of which sizes, and for how long they matter; the cache makes
    the memory. With a window, only the last `window` positions are seen.
    """

    k: Tensor
    v: Tensor

    def __init__(
        self, n_heads: int, key_dim: int, value_dim: int | None = None, *, window: int | None = None
    ) -> None:
        self.n_heads, self.key_dim, self.window = n_heads, key_dim, window
        self.value_dim = key_dim if value_dim is None else value_dim

    def allocate(self, table: Table, dtype: DType, backend: Backend) -> None:
        """Make room for every cell of a table."""
        for dim in (self.key_dim, self.value_dim):
            if isinstance(dtype, type) and dim % dtype.block:
                raise UnsupportedError(
                    f"a head of {dim} values does not divide into blocks of {dtype.name}, which "
                    f"hold {dtype.block}: choose another kv_type, such as f16"
                )
        self.k = self._empty(table.n_cells, self.key_dim, dtype, backend)
        self.v = self._empty(table.n_cells, self.value_dim, dtype, backend)

    def _empty(self, n_cells: int, dim: int, dtype: DType, backend: Backend) -> Tensor:
        shape = (n_cells, self.n_heads, dim)
        return Tensor(backend.empty(shape, dtype), shape, dtype, backend)

    @property
    def n_bytes_per_cell(self) -> int:
        """Memory that one token takes in this layer."""
        dtype = self.k.dtype
        sizes = (self.key_dim, self.value_dim)
        if isinstance(dtype, type):
            return self.n_heads * sum(dtype.row_bytes(size) for size in sizes)
        return self.n_heads * sum(sizes) * dtype.itemsize

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        step: Step,
        *,
        scale: float,
        softcap: float | None = None,
        sinks: Tensor | None = None,
        slopes: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Remember the new keys and values, and let every query attend to what it may see."""
        table = step.tables[self.window]
        self.store(k, v, table.slots)
        return ops.attend(
            q,
            self.k,
            self.v,
            step.positions,
            step.reach,
            step.sequences,
            table.cell_positions,
            table.pages,
            table.lengths,
            sinks,
            slopes,
            bias,
            page=PAGE,
            scale=scale,
            window=self.window,
            softcap=softcap,
        )  # [n, h, value_dim]

    def store(self, k: Tensor, v: Tensor, slots: Tensor) -> None:
        """Keep the keys and values of new tokens."""
        ops.store_keys(k, self.k, slots)
        ops.store_values(v, self.v, slots)

    def copy_cells(self, sources: Tensor, targets: Tensor) -> None:
        """Copy what some cells remember to others."""
        for memory in self.memories:
            ops.copy_cells(memory, sources, targets)

    # ---- from the host: to look at, to edit, to keep elsewhere

    @property
    def memories(self) -> tuple[Tensor, ...]:
        """All that has a place for each cell: `read_bytes` and `write_bytes` of them save it."""
        return self.k, self.v

    def keys(self, cells: Cells) -> Floats:
        """The keys of some cells, [cells, heads, key_dim]."""
        return read(self.k, cells)

    def values(self, cells: Cells) -> Floats:
        """The values of some cells, [cells, heads, value_dim]."""
        return read(self.v, cells)

    def set_keys(self, cells: Cells, keys: Floats) -> None:
        """Replace the keys of some cells."""
        write(self.k, cells, keys)

    def set_values(self, cells: Cells, values: Floats) -> None:
        """Replace the values of some cells."""
        write(self.v, cells, values)

    def move(self, cells: Tensor, turn: Callable[[Tensor], Tensor]) -> None:
        """Turn the keys of some cells, whose tokens have moved."""
        at = cells.numpy()
        self.set_keys(at, turn(Tensor.of(self.keys(at), self.k.backend)).numpy())


# ---- cells, however a device lays them out


def read(memory: Tensor, cells: Cells) -> Floats:
    """What some cells hold, as float32 [cells, heads, size]."""
    raw = memory.backend.get(memory.buffer, cells)
    return memory.quant.dequantize(raw) if memory.quant else np.array(raw)


def write(memory: Tensor, cells: Cells, values: Floats) -> None:
    """Let some cells hold other numbers, rounded as the format rounds them."""
    values = _checked(values, (len(cells), *memory.shape[1:]), "numbers")
    raw = memory.quant.quantize(values) if memory.quant else values
    memory.backend.write(memory.buffer, raw, cells)


def read_bytes(memory: Tensor, cells: Cells) -> Bytes:
    """The same as bytes of the format, uint8 [cells, heads, bytes]: alike on every device."""
    raw = memory.backend.get(memory.buffer, cells)
    return np.ascontiguousarray(raw).view(np.uint8)


def write_bytes(memory: Tensor, cells: Cells, raw: Bytes) -> None:
    """Put back what `read_bytes` gave, perhaps on another device."""
    _, heads, size = memory.shape
    n_bytes = memory.quant.row_bytes(size) if memory.quant else 4 * size
    raw = _checked(raw, (len(cells), heads, n_bytes), "bytes")
    memory.backend.write(memory.buffer, raw if memory.quant else raw.view(np.float32), cells)


def _checked(array: Any, shape: tuple[int, ...], what: str) -> Any:
    array = np.ascontiguousarray(array, np.uint8 if what == "bytes" else np.float32)
    if array.shape != shape:
        raise ShapeError(
            f"these cells hold {what} of shape {list(shape)}, not {list(array.shape)}: pass as "
            f"many as were read"
        )
    return array


def kv_dtype(name: str | type[Quant]) -> DType:
    """The element type of a cache by its name: f32, f16, bf16, q8_0, q4_0 ..."""
    from ..quants import get

    return get(name)
