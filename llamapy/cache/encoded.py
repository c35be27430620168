"""What a decoder remembers beside its own past: keys and values of what an encoder has read.

They are written once for each sequence, and never grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..backends import Backend
from ..errors import UnsupportedError
from ..quants.base import Quant
from ..tensor import DType, Tensor
from . import Cache
from .kv import KV, kv_dtype
from .step import Batch, Ints, Step, fill, full, page_rows
from .table import PAGE, Table


class EncodedKV(KV):
    """Keys and values of a layer that attends to its own past, and to what was encoded."""

    def allocate_encoded(self, table: Table, dtype: DType, backend: Backend) -> None:
        """Make room for what is encoded."""
        self.encoded_k = self._empty(table.n_cells, self.key_dim, dtype, backend)
        self.encoded_v = self._empty(table.n_cells, self.value_dim, dtype, backend)

    def remember(self, k: Tensor, v: Tensor, slots: Tensor) -> None:
        """Keep the keys and values of encoded tokens."""
        ops.store(k, self.encoded_k, slots)
        ops.store(v, self.encoded_v, slots)

    def attend_encoded(self, q: Tensor, step: Any, *, scale: float) -> Tensor:
        """Let every query attend to all that was encoded for its sequence."""
        encoded = step.encoded
        return ops.attend(
            q,
            self.encoded_k,
            self.encoded_v,
            step.positions,
            encoded.reach,
            step.sequences,
            encoded.cell_positions,
            encoded.pages,
            encoded.lengths,
            None,
            None,
            None,
            page=PAGE,
            scale=scale,
        )  # [n, h, value_dim]


@dataclass
class EncodedStep:
    """What a step says about encoded sequences."""

    reach: Tensor  # [n]
    pages: Tensor  # [sequences, pages]
    lengths: Tensor  # [sequences]
    cell_positions: Tensor  # [cells]; the table's own


class EncodedCache(Cache):
    """A cache with a second table, for up to `n_ctx` encoded tokens of each sequence."""

    def __init__(
        self,
        states: Sequence[EncodedKV],
        backend: Backend,
        *,
        n_ctx: int,
        n_sequences: int = 1,
        kv_type: str | type[Quant] = "f16",
        **options: Any,
    ) -> None:
        super().__init__(
            states, backend, n_ctx=n_ctx, n_sequences=n_sequences, kv_type=kv_type, **options
        )
        self.n_pages = -(-n_ctx // PAGE)  # of a sequence
        self.encoded = Table(self.n_pages * n_sequences, backend)
        for state, place in zip(states, self.places, strict=True):
            state.allocate_encoded(self.encoded, kv_dtype(kv_type), place)

    @property
    def n_bytes(self) -> int:
        encoded = sum(state.n_bytes_per_cell for state in self.states) * self.encoded.n_cells
        return super().n_bytes + encoded

    def open(self, n_tokens: int, sequence: int = 0) -> Tensor:
        """Cells for the encoded tokens of a sequence, which is forgotten first."""
        self.remove(sequence)
        if n_tokens > self.n_ctx or self.encoded.pages_needed(sequence, n_tokens) > (
            self.encoded.n_free()
        ):
            raise UnsupportedError(
                f"{n_tokens} encoded tokens do not fit: this cache holds {self.n_ctx} for each "
                f"sequence, and {self.encoded.n_free()} pages of {PAGE} are free"
            )
        slots, _ = self.encoded.add(sequence, range(n_tokens))
        self.encoded.upload()
        return Tensor.of(slots, self.backend)

    @property
    def sequences(self) -> list[int]:
        """The sequences that are remembered, or for which something was encoded."""
        return sorted({*super().sequences, *self.encoded.sequences})

    def begin(self, batch: Batch) -> Step:
        for sequence in batch.sequences:
            if not self.encoded.length(sequence):
                raise UnsupportedError(
                    f"nothing was encoded for sequence {sequence}: encode its source first, "
                    f"or pass encoder_tokens"
                )
        return super().begin(batch)

    def remove(self, sequence: int = 0, start: int = 0, stop: int | None = None) -> None:
        """Forget positions. What was encoded goes only with all of a sequence."""
        super().remove(sequence, start, stop)
        if start == 0 and stop is None:
            self.encoded.drop(sequence)

    def copy(self, source: int, target: int, stop: int | None = None) -> None:
        """Let a sequence remember what another does, and what was encoded for it."""
        super().copy(source, target, stop)
        if source != target:
            self.encoded.copy(source, target)

    def held(self) -> list[tuple[Table, list[Tensor]]]:
        encoded = [memory for state in self.states for memory in (state.encoded_k, state.encoded_v)]
        return [*super().held(), (self.encoded, encoded)]

    def _step(self, batch: Batch, sequences: Sequence[int]) -> Step:
        step = super()._step(batch, sequences)
        if step.encoded is None:
            n_rows = next(iter(step.tables.values())).pages.shape[0]
            step.encoded = EncodedStep(
                Tensor.of(full(np.zeros(step.n_tokens, np.int32)), self.backend),
                Tensor.of(np.zeros((n_rows, self.n_pages), np.int32), self.backend),
                Tensor.of(np.zeros(n_rows, np.int32), self.backend),
                self.encoded.cell_positions,
            )
        return step

    def _fill(
        self,
        step: Step,
        batch: Batch,
        sequences: Sequence[int],
        positions: Ints,
        slots: dict[int | None, Ints],
    ) -> None:
        super()._fill(step, batch, sequences, positions, slots)
        encoded = step.encoded
        fill(encoded.pages, page_rows(self.encoded, sequences, self.n_pages))
        fill(encoded.lengths, [self.encoded.length(s) for s in sequences])
