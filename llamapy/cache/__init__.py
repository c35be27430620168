"""What a model remembers between steps: sequences of tokens, each with its positions.

cache = model.cache()
step = cache.begin(Batch.of(ids))      # finds cells for them, fills the inputs
logits = model.decoder(step)
cache.copy(0, 1)                       # sequence 1 goes on from the same memory
"""

from __future__ import annotations

import itertools
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend
from ..errors import ShapeError, UnsupportedError
from ..plan import Arena
from ..quants.base import Quant
from ..tensor import Tensor
from .kv import KV, Floats, kv_dtype
from .recurrent import Parts, Recurrence, Recurrent, Slots, parts_of
from .saving import dump, load, save
from .shifting import shift
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
from .table import END, PAGE, ROLLBACK, Copies, Table

__all__ = [
    "KV",
    "PADDED",
    "PAGE",
    "Batch",
    "Cache",
    "Ints",
    "Parts",
    "Reach",
    "Recurrence",
    "Recurrent",
    "Step",
    "causal",
    "full",
    "padded",
    "prefix",
]

Rows: TypeAlias = NDArray[np.intp]  # of a batch
STEPS_KEPT = 16  # steps whose buffers and plans are kept for the next time


class Cache:
    """A table of cells for each window, slots for recurrent layers, and a state for each layer.

    A sequence of recurrent layers can go back by one step, and by `rollback` tokens.
    """

    slots: Slots | None = None

    def __init__(
        self,
        states: Sequence[Any],
        backend: Backend,
        *,
        n_ctx: int,
        places: Sequence[Backend] = (),
        n_sequences: int = 1,
        n_batch: int = 512,
        kv_type: str | type[Quant] = "f16",
        reach: Reach = causal,
        move: Callable[[int, Tensor, Tensor], Tensor] | None = None,
        pad: Callable[[int], int] = padded,
        rollback: int = 0,
        model_hash: Callable[[], str] | None = None,
    ) -> None:
        self.states, self.backend, self.reach, self.move = list(states), backend, reach, move
        self._pad, self.model_hash = pad, model_hash
        self.n_ctx, self.n_batch = n_ctx, n_batch
        # where each layer lies; a state beside them is wherever the model is
        self.places = [*places, *[backend] * (len(self.states) - len(places))]
        self.arena = Arena()
        self.tables: dict[int | None, Table] = {}
        dtype = kv_dtype(kv_type)
        # what layers remember, with their numbers: cells for each token, or slots for a sequence
        parts = [(i, part) for i, state in enumerate(self.states) for part in parts_of(state)]
        self.attending = [(i, part) for i, part in parts if not isinstance(part, Recurrent)]
        self.recurring = [(i, part) for i, part in parts if isinstance(part, Recurrent)]
        self.slots = Slots(n_sequences, rollback) if self.recurring else None
        if self.slots is not None:
            for index, part in self.recurring:
                part.allocate_slots(self.slots.n_slots, self.places[index])
        for index, state in self.attending:
            if state.window not in self.tables:
                n_cells = n_ctx
                if state.window is not None:
                    n_cells = min(n_ctx, state.window + ROLLBACK + n_batch + PAGE)
                n_pages = -(-n_cells // PAGE) * n_sequences
                self.tables[state.window] = Table(n_pages, backend, state.window)
            state.allocate(self.tables[state.window], dtype, self.places[index])
        self._steps: OrderedDict[object, Step] = OrderedDict()

    @property
    def n_bytes(self) -> int:
        """Memory of all keys, values and recurrent states."""
        cells = sum(
            state.n_bytes_per_cell * self.tables[state.window].n_cells
            for _, state in self.attending
        )
        n_slots = self.slots.n_slots if self.slots is not None else 0
        return cells + n_slots * sum(state.n_bytes_per_slot for _, state in self.recurring)

    @property
    def _books(self) -> list[Table | Slots]:
        """All that knows which sequences there are, and where they end."""
        return [*self.tables.values(), *([] if self.slots is None else [self.slots])]

    @property
    def sequences(self) -> list[int]:
        """The sequences that are remembered."""
        return next((book.sequences for book in self._books), [])

    def end(self, sequence: int = 0) -> int:
        """The position at which a sequence goes on."""
        return max(book.end(sequence) for book in self._books)

    # ---- the next step

    def begin(self, batch: Batch) -> Step:
        """Find cells for a batch and fill the inputs of a forward pass.

        If there is no room, nothing has changed.
        """
        sequences = sorted(set(batch.sequences))
        members = {s: np.flatnonzero(np.asarray(batch.sequences) == s) for s in sequences}
        positions = self._positions(batch, members)
        self._make_room(positions, members)
        slots = {}
        for window, table in self.tables.items():
            slots[window] = np.full(len(batch.tokens), -1, np.int32)
            copies = []
            for sequence, rows in members.items():
                slots[window][rows], copied = table.add(sequence, positions[rows].tolist())
                copies += copied
            self.copy_pages(window, copies)
        step = self._step(batch, sequences)
        self._fill(step, batch, sequences, positions, slots)
        if step.recurrence is not None:
            self._fill_recurrence(step.recurrence, positions, members)
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

    def _make_room(self, positions: Ints, members: dict[int, Rows]) -> None:
        """Refuse a batch that does not fit; else let windows go of what they no longer see."""
        adding = {s: (int(positions[rows[0]]), len(rows)) for s, rows in members.items()}
        for table in self.tables.values():
            if (needed := table.pages_needed_by(adding)) > table.n_free():
                raise UnsupportedError(
                    f"this batch needs {needed} pages of {PAGE} cells and {table.n_free()} are "
                    f"free: remove sequences, or make a cache with more"
                )
        if self.slots is not None:
            for sequence, rows in members.items():
                self.slots.drop_oldest(sequence, len(rows))
            needed = sum(self.slots.needed(len(rows)) for rows in members.values())
            if needed > self.slots.n_free():
                raise UnsupportedError(
                    f"this batch needs {needed} slots for recurrent states and "
                    f"{self.slots.n_free()} are free: remove sequences, or make a cache with more"
                )
        for table in self.tables.values():
            for sequence, (position, _) in adding.items():
                table.drop_unseen(sequence, position)

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
            if self.slots is not None:
                read, write = (np.zeros(size, np.int32) for size in (n_rows, step.n_tokens))
                step.recurrence = Recurrence(
                    Tensor.of(read, self.backend), Tensor.of(write, self.backend), step.sequences
                )
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

    def _fill_recurrence(
        self, recurrence: Recurrence, positions: Ints, members: dict[int, Rows]
    ) -> None:
        assert self.slots is not None
        read, write = [], np.full(len(positions), -1, np.int32)
        for sequence, rows in members.items():
            slot, write[rows] = self.slots.add(sequence, positions[rows].tolist())
            read.append(slot)
        fill(recurrence.read, read, padding=-1)
        fill(recurrence.write, write, padding=-1)

    # ---- changing what is remembered

    def remove(self, sequence: int = 0, start: int = 0, stop: int | None = None) -> None:
        """Forget a sequence's positions from `start` up to `stop`, or all that follow."""
        if start == 0 and stop is None:
            for book in self._books:
                book.drop(sequence)
            return
        until = END if stop is None else stop
        for book in self._books:
            book.check_remove(sequence, start, until)
        for window, table in self.tables.items():
            self.copy_pages(window, table.remove(sequence, start, until))
            table.upload()
        if self.slots is not None:
            self.slots.remove(sequence, start, until)
        self._drop_empty(sequence)

    def _drop_empty(self, sequence: int) -> None:
        """A sequence of which nothing is left is none."""
        if not self.end(sequence):
            for book in self._books:
                book.drop(sequence)

    def copy(self, source: int, target: int, stop: int | None = None) -> None:
        """Let a sequence remember what another does, or only what stands before `stop`.

        Memory is shared until one of them changes it.
        """
        self._check_remembered(source)
        if source == target:
            return
        if stop is not None:
            for book in self._books:
                book.check_copy(source, stop)
        for window, table in self.tables.items():
            table.copy(source, target)
            if stop is not None:
                self.copy_pages(window, table.remove(target, stop, END))
                table.upload()
        if self.slots is not None:
            self.slots.copy(source, target, stop)
        self._drop_empty(target)

    def fork(self, source: int = 0, stop: int | None = None) -> int:
        """A new sequence that remembers what another does, or what stands before `stop`."""
        self._check_remembered(source)
        target = next(n for n in itertools.count() if n not in self.sequences)
        self.copy(source, target, stop)
        return target

    def keep(self, sequence: int) -> None:
        """Forget all sequences but one."""
        self._check_remembered(sequence)
        for other in self.sequences:
            if other != sequence:
                self.remove(other)

    def shift(self, by: int, sequence: int = 0, start: int = 0, stop: int | None = None) -> None:
        """Move positions from `start` up to `stop`, and turn the remembered keys with them."""
        self._check_remembered(sequence)
        shift(self, by, sequence, start, END if stop is None else stop)

    def save(self, path: str | os.PathLike[str], sequence: int = 0) -> None:
        """Write what is remembered of a sequence to a file, which appears whole or not at all."""
        self._check_remembered(sequence)
        save(self, path, sequence)

    def dump(self, sequence: int = 0) -> bytes:
        """What `save` writes, as bytes."""
        self._check_remembered(sequence)
        return dump(self, sequence)

    def load(self, source: str | os.PathLike[str] | bytes, sequence: int = 0) -> None:
        """Remember what was saved, in a file or as bytes, as this sequence.

        It must have been the same model with the same kv_type; the device may be another one. A
        file that is refused changes nothing.
        """
        load(self, source, sequence)

    def _check_remembered(self, sequence: int) -> None:
        if sequence not in self.sequences:
            there = ", ".join(map(str, self.sequences)) or "none"
            raise UnsupportedError(
                f"sequence {sequence} is not remembered; there are {there}: compute it first"
            )

    # ---- looking at what is remembered, and editing it

    def positions(self, layer: int = 0, sequence: int = 0) -> Ints:
        """The positions whose keys and values a layer remembers, growing: a window has the last."""
        table = self.tables[self._attending(layer).window]
        return table.positions[table.remembered(sequence)]

    def keys(self, layer: int, sequence: int = 0) -> Floats:
        """The keys of a layer in the order of their positions, [positions, heads, key_dim]."""
        return self._attending(layer).keys(self._cells(layer, sequence))

    def values(self, layer: int, sequence: int = 0) -> Floats:
        """The values of a layer in the order of their positions, [positions, heads, value_dim]."""
        return self._attending(layer).values(self._cells(layer, sequence))

    def set_keys(self, layer: int, keys: Any, sequence: int = 0) -> None:
        """Replace what `keys` gave. Sequences that shared it keep what they had."""
        self._attending(layer).set_keys(self._own_cells(layer, sequence), keys)

    def set_values(self, layer: int, values: Any, sequence: int = 0) -> None:
        """Replace what `values` gave. Sequences that shared it keep what they had."""
        self._attending(layer).set_values(self._own_cells(layer, sequence), values)

    def _attending(self, layer: int) -> Any:
        for index, state in self.attending:
            if index == layer:
                return state
        has = ", ".join(str(i) for i, _ in self.attending) or "none"
        raise UnsupportedError(f"layer {layer} remembers no keys and values; these do: {has}")

    def _cells(self, layer: int, sequence: int) -> Ints:
        return self.tables[self._attending(layer).window].remembered(sequence)

    def _own_cells(self, layer: int, sequence: int) -> Ints:
        """The cells, in pages that nobody else uses."""
        window = self._attending(layer).window
        self.copy_pages(window, self.tables[window].own(sequence))
        return self._cells(layer, sequence)

    # ---- memory

    def held(self) -> list[tuple[Table, list[Tensor]]]:
        """Each table with all memory that has a place for its cells."""
        found: dict[int | None, dict[int, Tensor]] = {window: {} for window in self.tables}
        for _, state in self.attending:  # a layer may borrow another's
            found[state.window].update({id(memory): memory for memory in state.memories})
        return [(self.tables[window], list(each.values())) for window, each in found.items()]

    def copy_pages(self, window: int | None, copies: Copies) -> None:
        if not copies:
            return
        table = self.tables[window]
        pages = np.array(copies, np.int32)  # [copies, 2]
        cells = pages[:, :, None] * PAGE + np.arange(PAGE, dtype=np.int32)  # [copies, 2, PAGE]
        sources = Tensor.of(cells[:, 0].reshape(-1), self.backend)
        targets = Tensor.of(cells[:, 1].reshape(-1), self.backend)
        for _, state in self.attending:
            if state.window == window:
                state.copy_cells(sources, targets)
        table.upload()
