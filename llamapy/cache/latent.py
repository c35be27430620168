"""What latent attention remembers: of each token a key, whose first part is its value, too."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..backends import Backend
from ..errors import UnsupportedError
from ..tensor import DType, Tensor
from .kv import KV, Floats
from .step import Step
from .table import Cells, Table


class Latent(KV):
    """One key for all heads of a token. Its first `value_dim` numbers are the value."""

    def __init__(self, key_dim: int, value_dim: int) -> None:
        super().__init__(1, key_dim, value_dim)

    def allocate(self, table: Table, dtype: DType, backend: Backend) -> None:
        if isinstance(dtype, type) and self.key_dim % dtype.block:
            raise UnsupportedError(
                f"a latent key of {self.key_dim} values does not divide into blocks of "
                f"{dtype.name}, which hold {dtype.block}: choose another kv_type, such as f16"
            )
        self.k = self.v = self._empty(table.n_cells, self.key_dim, dtype, backend)

    @property
    def n_bytes_per_cell(self) -> int:
        dtype = self.k.dtype
        if isinstance(dtype, type):
            return dtype.row_bytes(self.key_dim)
        return self.key_dim * dtype.itemsize

    def store(self, k: Tensor, v: Tensor, slots: Tensor) -> None:
        """Keep the keys, for the values are part of them."""
        ops.store(k, self.k, slots)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, step: Step, **how: Any) -> Tensor:
        y = super().attend(q, k, v, step, **how)  # [n, h, key_dim]: keys, mixed
        n, h, width = y.shape
        y = ops.columns(y.view(n * h, width), start=0, count=self.value_dim)
        return y.view(n, h, self.value_dim)

    @property
    def memories(self) -> tuple[Tensor, ...]:
        return (self.k,)

    def values(self, cells: Cells) -> Floats:
        """The first part of the keys."""
        return self.keys(cells)[..., : self.value_dim]

    def set_values(self, cells: Cells, values: Floats) -> None:
        """Replace the first part of the keys."""
        keys = self.keys(cells)
        keys[..., : self.value_dim] = values
        self.set_keys(cells, keys)
