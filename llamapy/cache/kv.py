"""What attention remembers: a key and a value for each cell."""

from __future__ import annotations

from .. import ops
from ..backends import Backend
from ..errors import UnsupportedError
from ..quants.base import Quant
from ..tensor import FLOAT32, DType, Tensor
from .step import Step
from .table import PAGE, Table


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
        ops.store(k, self.k, slots)
        ops.store(v, self.v, slots)

    def copy_cells(self, sources: Tensor, targets: Tensor) -> None:
        """Copy what some cells remember to others."""
        ops.copy_cells(self.k, sources, targets)
        ops.copy_cells(self.v, sources, targets)


def kv_dtype(name: str | type[Quant]) -> DType:
    """The element type of a cache by its name: f32, f16, q8_0 ..."""
    from ..quants import get

    quant = get(name)
    return FLOAT32 if quant.name == "F32" else quant
