"""What a model remembers between steps: sequences of tokens, each with its positions.

cache = model.cache()
step = cache.begin(Batch.of(ids))      # finds cells for them, fills the inputs
logits = model.decoder(step)
cache.copy(0, 1)                       # sequence 1 goes on from the same memory
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import ops
from ..backends import Backend
from ..errors import ShapeError, UnsupportedError
from ..plan import Arena
from ..quants.base import Quant
from ..tensor import Tensor
from .kv import KV, kv_dtype
from .step import (
    PADDED,
    Batch,
    Ints,
    Reach,
    Step,
    causal,
    fill,
    full,
    new_step,
    padded,
    page_rows,
    power_of_two,
    prefix,
)
from .table import PAGE, ROLLBACK, Table

__all__ = [
    "KV",
    "PADDED",
    "PAGE",
    "Batch",
    "Cache",
    "Ints",
    "Reach",
    "Step",
    "causal",
    "full",
    "padded",
    "prefix",
]

Rows: TypeAlias = NDArray[np.intp]  # of a batch
STEPS_KEPT = 16  # steps whose buffers and plans are kept for the next time


class Cache:
    """A table of cells for each window, and a state for each layer."""

    def __init__(
        self,
        states: Sequence[KV],
        backend: Backend,
        *,
        n_ctx: int,
        n_sequences: int = 1,
        n_batch: int = 512,
        kv_type: str | type[Quant] = "f16",
        reach: Reach = causal,
        move: Callable[[int, Tensor, Tensor], Tensor] | None = None,
        pad: Callable[[int], int] = padded,
    ) -> None:
        self.states, self.backend, self.reach, self._move = list(states), backend, reach, move
        self._pad = pad
        self.n_ctx, self.n_batch = n_ctx, n_batch
        self.arena = Arena()
        self.tables: dict[int | None, Table] = {}
        dtype = kv_dtype(kv_type)
        for state in self.states:
            if state.window not in self.tables:
                n_cells = n_ctx
                if state.window is not None:
                    n_cells = min(n_ctx, state.window + ROLLBACK + n_batch + PAGE)
                n_pages = -(-n_cells // PAGE) * n_sequences
                self.tables[state.window] = Table(n_pages, backend, state.window)
            state.allocate(self.tables[state.window], dtype, backend)
        self._steps: OrderedDict[object, Step] = OrderedDict()

    @property
    def n_bytes(self) -> int:
        """Memory of all keys and values."""
        return sum(
            state.n_bytes_per_cell * self.tables[state.window].n_cells for state in self.states
        )

    @property
    def sequences(self) -> list[int]:
        """The sequences that are remembered."""
        return next(iter(self.tables.values())).sequences

    def end(self, sequence: int = 0) -> int:
        """The position at which a sequence goes on."""
        return max(table.end(sequence) for table in self.tables.values())

    # ---- the next step

    def begin(self, batch: Batch) -> Step:
        """Find cells for a batch and fill the inputs of a forward pass.

        If there is no room, nothing has changed.
        """
        sequences = sorted(set(batch.sequences))
        members = {s: np.flatnonzero(np.asarray(batch.sequences) == s) for s in sequences}
        positions = self._positions(batch, members)
        self._check_room(positions, members)
        slots = {}
        for window, table in self.tables.items():
            slots[window] = np.full(len(batch.tokens), -1, np.int32)
            copies = []
            for sequence, rows in members.items():
                slots[window][rows], copied = table.add(sequence, positions[rows].tolist())
                copies += copied
            self._copy_pages(window, copies)
        step = self._step(batch, sequences)
        self._fill(step, batch, sequences, positions, slots)
        return step

    def _positions(self, batch: Batch, members: dict[int, Rows]) -> Ints:
        given = batch.positions
        positions = np.asarray([0] * len(batch.tokens) if given is None else given, np.int32)
        for sequence, rows in members.items():
            end = self.end(sequence)
            if given is None:
                positions[rows] = np.arange(end, end + len(rows))
            elif positions[rows[0]] < end or (np.diff(positions[rows]) < 1).any():
                raise ShapeError(
                    f"sequence {sequence} remembers positions up to {end - 1}, and a batch goes on "
                    f"from there in growing order, not at {positions[rows].tolist()}: remove "
                    f"positions first"
                )
            last = int(positions[rows[-1]])
            if last >= self.n_ctx:
                raise UnsupportedError(
                    f"position {last} of sequence {sequence} is beyond the context of "
                    f"{self.n_ctx}: pass a larger n_ctx, or remove or shift positions"
                )
        return positions

    def _check_room(self, positions: Ints, members: dict[int, Rows]) -> None:
        for table in self.tables.values():
            for sequence, rows in members.items():
                table.drop_unseen(sequence, int(positions[rows[0]]))
            needed = sum(table.pages_needed(s, len(rows)) for s, rows in members.items())
            if needed > table.n_free():
                raise UnsupportedError(
                    f"this batch needs {needed} pages of {PAGE} cells and {table.n_free()} are "
                    f"free: remove sequences, or make a cache with more"
                )

    def _step(self, batch: Batch, sequences: Sequence[int]) -> Step:
        """The step of this batch's sizes, new or met before."""
        n_rows = self._pad(len(sequences))
        n_pages = {
            window: power_of_two(max((len(table.pages(s)) for s in sequences), default=1))
            for window, table in self.tables.items()
        }
        sizes = (self._pad(len(batch.tokens)), self._pad(len(batch.outputs)), n_rows)
        key = (*sizes, *n_pages.values())
        step = self._steps.get(key)
        if step is None:
            step = new_step(*sizes, n_pages, self.tables, self.states, self.backend)
            self._steps[key] = step
        self._steps.move_to_end(key)
        if len(self._steps) > STEPS_KEPT:
            self._steps.popitem(last=False)
        return step

    def _fill(
        self,
        step: Step,
        batch: Batch,
        sequences: Sequence[int],
        positions: Ints,
        slots: dict[int | None, Ints],
    ) -> None:
        fill(step.tokens, batch.tokens)
        fill(step.positions, positions)
        fill(step.reach, self.reach(positions), padding=-1)
        fill(step.sequences, np.searchsorted(sequences, batch.sequences), padding=-1)
        fill(step.outputs, batch.outputs)
        for window, table in self.tables.items():
            part = step.tables[window]
            fill(part.slots, slots[window], padding=-1)
            fill(part.pages, page_rows(table, sequences, part.pages.shape[1]))
            fill(part.lengths, [table.length(s) for s in sequences])

    # ---- changing what is remembered

    def remove(self, sequence: int = 0, start: int = 0, stop: int | None = None) -> None:
        """Forget a sequence's positions from `start` up to `stop`, or all that follow."""
        if start == 0 and stop is None:
            for table in self.tables.values():
                table.drop(sequence)
            return
        for window, table in self.tables.items():
            until = np.iinfo(np.int32).max if stop is None else stop
            self._copy_pages(window, table.remove(sequence, start, until))
            table.upload()

    def copy(self, source: int, target: int) -> None:
        """Let a sequence remember what another does. Memory is shared until one of them changes."""
        if source != target:
            for table in self.tables.values():
                table.copy(source, target)

    def keep(self, sequence: int) -> None:
        """Forget all sequences but one."""
        for other in self.sequences:
            if other != sequence:
                self.remove(other)

    def shift(self, by: int, sequence: int = 0, start: int = 0, stop: int | None = None) -> None:
        """Move positions, and turn the remembered keys with them."""
        if self._move is None:
            raise UnsupportedError("this architecture's keys cannot be moved: compute them again")
        until = np.iinfo(np.int32).max if stop is None else stop
        for window, table in self.tables.items():
            cells, copies = table.shift(sequence, start, until, by)
            self._copy_pages(window, copies)
            table.upload()
            if not len(cells):
                continue
            ids = Tensor.of(cells, self.backend)
            deltas = Tensor.of(np.full(len(cells), by, np.int32), self.backend)
            for index, state in enumerate(self.states):
                if state.window == window:
                    keys = ops.lookup(ids, state.k)  # [cells, K, D]
                    ops.store(self._move(index, keys, deltas), state.k, ids)

    def _copy_pages(self, window: int | None, copies: Sequence[tuple[int, int]]) -> None:
        if not copies:
            return
        pages = np.array(copies, np.int32)  # [copies, 2]
        cells = pages[:, :, None] * PAGE + np.arange(PAGE, dtype=np.int32)  # [copies, 2, PAGE]
        sources = Tensor.of(cells[:, 0].reshape(-1), self.backend)
        targets = Tensor.of(cells[:, 1].reshape(-1), self.backend)
        for state in self.states:
            if state.window == window:
                state.copy_cells(sources, targets)
        self.tables[window].upload()
