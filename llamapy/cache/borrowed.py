"""What a layer remembers that has no keys and values of its own: another layer's."""

from __future__ import annotations

from collections.abc import Callable

from .. import ops
from ..backends import Backend
from ..tensor import DType, Tensor
from .kv import KV
from .step import Step
from .table import Table


class BorrowedKV(KV):
    """The keys and values of an earlier layer, which has stored them already."""

    def __init__(self, lender: KV) -> None:
        super().__init__(lender.n_heads, lender.key_dim, lender.value_dim, window=lender.window)
        self.lender = lender

    def allocate(self, table: Table, dtype: DType, backend: Backend) -> None:
        """Use the memory that the lender was given before."""
        self.k, self.v = self.lender.k, self.lender.v

    @property
    def n_bytes_per_cell(self) -> int:
        """None of its own."""
        return 0

    def look_up(self, q: Tensor, step: Step, *, scale: float) -> Tensor:
        """Let every query attend to what the lender remembers."""
        there = ops.move(q, self.k.backend)
        return ops.move(self.attend(there, there, there, step, scale=scale), q.backend)

    def store(self, k: Tensor, v: Tensor, slots: Tensor) -> None:
        """Nothing: the lender has stored its own."""

    def copy_cells(self, sources: Tensor, targets: Tensor) -> None:
        """Nothing: the lender's are copied."""

    def move(self, cells: Tensor, turn: Callable[[Tensor], Tensor]) -> None:
        """Nothing: the lender's are moved."""
