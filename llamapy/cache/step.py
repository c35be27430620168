"""One forward pass's inputs, in buffers that are refilled in place, so that a plan stays valid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import ops
from ..backends import Backend
from ..errors import ShapeError
from ..plan import Plan
from ..tensor import Tensor
from .table import PAGE, Table

Ints = NDArray[np.int32]
# how far each position sees: the kind of mask
Reach: TypeAlias = Callable[[Ints], Ints]

PADDED = 16  # batches up to this size are padded to powers of two, and recorded


def causal(positions: Ints) -> Ints:
    """Nothing after the token itself is seen."""
    return positions


def full(positions: Ints) -> Ints:
    """Everything is seen."""
    return np.full_like(positions, np.iinfo(np.int32).max)


def prefix(length: int) -> Reach:
    """Everything in a prefix is seen from within it; after it, the mask is causal."""
    return lambda positions: np.maximum(positions, np.int32(length - 1))


@dataclass
class Batch:
    """Tokens to compute, each with its sequence; `outputs` are the rows whose logits are wanted.

    Without positions, each sequence goes on where it ended.
    """

    tokens: Sequence[int]
    sequences: Sequence[int]
    outputs: Sequence[int]
    positions: Sequence[int] | None = None

    def __post_init__(self) -> None:
        n = len(self.tokens)
        if len(self.sequences) != n or (self.positions is not None and len(self.positions) != n):
            raise ShapeError(
                f"a batch of {n} tokens needs {n} sequences and as many positions: pass one for "
                f"each token"
            )
        if any(not 0 <= row < n for row in self.outputs):
            raise ShapeError(f"outputs {list(self.outputs)} are not rows of a batch of {n} tokens")

    @classmethod
    def of(cls, tokens: Sequence[int], sequence: int = 0, *, logits: str = "last") -> Batch:
        """The next tokens of one sequence. `logits` says of which: last, all or none."""
        n = len(tokens)
        rows = {"last": range(max(0, n - 1), n), "all": range(n), "none": range(0)}
        if logits not in rows:
            raise ShapeError(f"logits={logits!r} is not one of last, all, none")
        return cls(tokens, [sequence] * n, rows[logits])

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """Several batches computed together."""
        starts = np.cumsum([0, *(len(batch.tokens) for batch in batches)])
        given = [batch.positions for batch in batches]
        return cls(
            [token for batch in batches for token in batch.tokens],
            [sequence for batch in batches for sequence in batch.sequences],
            [
                int(start) + row
                for start, batch in zip(starts, batches, strict=False)
                for row in batch.outputs
            ],
            None if None in given else [p for positions in given for p in positions or ()],
        )


@dataclass
class TableStep:
    """What a step says about one table: where new cells go, and which ones a sequence has."""

    slots: Tensor  # [n], -1 for padding
    pages: Tensor  # [sequences, pages], in order
    lengths: Tensor  # [sequences], cells in use
    cell_positions: Tensor  # [cells]; the table's own


@dataclass
class Step:
    """The inputs of one forward pass. `n_outputs` and the tensors' shapes never change."""

    tokens: Tensor
    positions: Tensor
    reach: Tensor
    sequences: Tensor  # [n], rows of the tables' pages; -1 for padding
    outputs: Tensor
    tables: dict[int | None, TableStep]
    states: Sequence[Any]
    plans: dict[Any, Plan] = field(default_factory=dict)
    encoded: Any = None  # what a decoder attends to beside its own past
    recurrence: Any = None  # where recurrent states are read and written

    @property
    def n_tokens(self) -> int:
        return self.tokens.shape[0]

    def begin(self) -> None:
        """Give the new cells their positions: the first launches of a forward pass."""
        for table in self.tables.values():
            ops.place(self.positions, table.cell_positions, table.slots)


def new_step(
    n_tokens: int,
    n_outputs: int,
    n_rows: int,
    n_pages: dict[int | None, int],
    tables: dict[int | None, Table],
    states: Sequence[Any],
    backend: Backend,
) -> Step:
    """A step of these sizes, yet to be filled."""

    def ints(*shape: int) -> Tensor:
        return Tensor.of(np.zeros(shape, np.int32), backend)

    return Step(
        ints(n_tokens),
        ints(n_tokens),
        ints(n_tokens),
        ints(n_tokens),
        ints(n_outputs),
        {
            window: TableStep(
                ints(n_tokens), ints(n_rows, n_pages[window]), ints(n_rows), table.cell_positions
            )
            for window, table in tables.items()
        },
        states,
    )


def fill(tensor: Tensor, values: Any, padding: int = 0) -> None:
    """Write values into a tensor of whole numbers; what is left over becomes padding."""
    array = np.full(tensor.shape, padding, np.int32)
    array[: len(values)] = values
    tensor.backend.write(tensor.buffer, array)


def power_of_two(n: int) -> int:
    """The next one: 1, 2, 4, 8 ..."""
    return 1 << max(0, n - 1).bit_length()


def padded(n: int) -> int:
    """The size of a batch: small ones come in few sizes, so that their plans are met again."""
    return power_of_two(n) if 0 < n <= PADDED else n


def page_rows(table: Table, sequences: Sequence[int], n_pages: int) -> Ints:
    """The pages of some sequences [sequences, n_pages]; what is not in use is page 0."""
    rows = np.zeros((len(sequences), n_pages), np.int32)
    for row, sequence in zip(rows, sequences, strict=True):
        pages = table.pages(sequence)
        row[: len(pages)] = pages
    return rows


__all__ = ["PAGE", "Batch", "Reach", "Step", "causal", "full", "prefix"]
