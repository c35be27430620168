"""What recurrent layers remember: of a sequence, whatever its length, a state of fixed size.

A step reads each sequence's state from one slot and writes the new one to another. So the state
before a step is still there after it: a snapshot, to which the sequence can go back by an index,
and which sequences can share. A slot has room for the states of all layers at one position.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import ops
from ..backends import Backend
from ..errors import ShapeError, UnsupportedError
from ..tensor import FLOAT32, Tensor
from .step import Ints


class Recurrent:
    """The states of one layer: arrays with a name and a shape, float32, in every slot.

    `Recurrent(conv=(3, 64), ssm=(4, 16, 8))` has the tensors `conv` [slots, 3, 64] and `ssm`.
    """

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        self.shapes = shapes
        self.arrays: dict[str, Tensor] = {}

    def allocate_slots(self, n_slots: int, backend: Backend) -> None:
        """Make room for every slot."""
        for name, shape in self.shapes.items():
            zeros = np.zeros((n_slots, *shape), np.float32)
            self.arrays[name] = Tensor.of(zeros, backend, name=name)

    @property
    def n_bytes_per_slot(self) -> int:
        """Memory that one state of this layer takes."""
        return FLOAT32.itemsize * sum(map(math.prod, self.shapes.values()))

    def __getattr__(self, name: str) -> Tensor:
        try:
            return self.__dict__["arrays"][name]
        except KeyError:
            raise AttributeError(f"a recurrent state {name!r} was not declared") from None

    def get(self, slot: int) -> dict[str, NDArray[np.float32]]:
        """A slot's arrays, on the host."""
        return {
            name: ops.lookup(*self._row(name, slot)).numpy().reshape(shape).copy()
            for name, shape in self.shapes.items()
        }

    def put(self, slot: int, arrays: Mapping[str, Any]) -> None:
        """Replace a slot's arrays."""
        for name, shape in self.shapes.items():
            values = np.asarray(arrays[name], np.float32)
            if values.shape != shape:
                raise ShapeError(
                    f"the state {name!r} has the shape {list(shape)}, not {list(values.shape)}: "
                    f"take it from a cache of the same model"
                )
            ids, rows = self._row(name, slot)
            ops.store(Tensor.of(values.reshape(1, 1, -1), rows.backend), rows, ids)

    def _row(self, name: str, slot: int) -> tuple[Tensor, Tensor]:
        array = self.arrays[name]
        ids = Tensor.of(np.array([slot], np.int32), array.backend)
        return ids, array.view(array.shape[0], 1, math.prod(array.shape[1:]))


class Parts:
    """The memory of a layer that has several: `Parts(attention=KV(2, 64), mamba=Recurrent(...))`.

    Each is an attribute of its name. `Parts()` is a layer that remembers nothing.
    """

    def __init__(self, **parts: Any) -> None:
        self.parts = parts

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["parts"][name]
        except KeyError:
            raise AttributeError(f"this layer has no memory {name!r}") from None


def parts_of(state: Any) -> list[Any]:
    """The memories of a layer, one by one."""
    return list(state.parts.values()) if isinstance(state, Parts) else [state]


class Recurrence(NamedTuple):
    """What a step says about slots: the last operands of every operation that has a state."""

    read: Tensor  # [sequences], the slot of each one's state; -1 begins with zeros
    write: Tensor  # [n], the slot for the state after each token; -1 keeps none
    sequences: Tensor  # [n], which of the sequences a token belongs to; -1 for padding


class Snapshot(NamedTuple):
    """A state of a sequence, after all positions below `end`."""

    end: int
    slot: int


class Slots:
    """Which slots a sequence has: its latest states, of which others may share some.

    Each sequence can always go back by one step, and by `rollback` tokens, for which a step of
    several tokens keeps the states after each of the last ones.
    """

    def __init__(self, n_sequences: int, rollback: int = 0) -> None:
        self.n_slots, self.rollback = n_sequences * (rollback + 2), rollback
        self._free = list(range(self.n_slots))[::-1]
        self._users = [0] * self.n_slots
        self._snapshots: dict[int, list[Snapshot]] = {}

    @property
    def sequences(self) -> list[int]:
        return sorted(self._snapshots)

    def snapshots(self, sequence: int) -> list[Snapshot]:
        """The states that a sequence can go back to, the oldest first; the last is the present."""
        return list(self._snapshots.get(sequence, []))

    def end(self, sequence: int) -> int:
        """The position at which a sequence goes on."""
        snapshots = self.snapshots(sequence)
        return snapshots[-1].end if snapshots else 0

    def n_free(self) -> int:
        return len(self._free)

    # ---- adding

    def needed(self, n_tokens: int) -> int:
        """How many slots so many tokens of a sequence take."""
        return min(n_tokens, 1 + self.rollback)

    def drop_oldest(self, sequence: int, n_tokens: int) -> None:
        """Forget the states that a step of so many tokens has no use for."""
        kept = self.rollback + 2 - self.needed(n_tokens)
        snapshots = self._snapshots.get(sequence, [])
        while len(snapshots) > kept:
            self._release(snapshots.pop(0).slot)

    def add(self, sequence: int, positions: Sequence[int]) -> tuple[int, Ints]:
        """The slot to read from, and those to write to after each of some new tokens."""
        snapshots = self._snapshots.setdefault(sequence, [])
        read = snapshots[-1].slot if snapshots else -1
        writes = np.full(len(positions), -1, np.int32)
        for at in range(len(positions) - self.needed(len(positions)), len(positions)):
            writes[at] = self._take()
            snapshots.append(Snapshot(int(positions[at]) + 1, int(writes[at])))
        return read, writes

    # ---- changing

    def check_remove(self, sequence: int, start: int, stop: int) -> None:
        """Refuse what no snapshot allows: a state cannot forget but by going back to an older."""
        end = self.end(sequence)
        if start >= end or stop <= start:
            return
        ends = [snapshot.end for snapshot in self.snapshots(sequence)]
        if stop < end or (start > 0 and start not in ends):
            what = f"up to {stop}" if stop < end else "on"
            raise UnsupportedError(
                f"sequence {sequence} cannot forget its positions from {start} {what}: a recurrent "
                f"state goes back only to where one was kept, {_listed([0, *ends[:-1]])} here; go "
                f"back there or remove all of it, and compute the tokens again"
            )

    def remove(self, sequence: int, start: int, stop: int) -> None:
        """Go back to the state before position start."""
        self.check_remove(sequence, start, stop)
        if start >= self.end(sequence) or stop <= start:
            return
        snapshots = self._snapshots[sequence]
        while snapshots and snapshots[-1].end > start:
            self._release(snapshots.pop().slot)

    def check_copy(self, source: int, stop: int) -> None:
        """Refuse a part of a sequence after which no state was kept."""
        self.check_remove(source, stop, max(stop, self.end(source)))

    def copy(self, source: int, target: int, stop: int | None = None) -> None:
        """Let target have the state of source at a position, or its present one, in its slot."""
        self.drop(target)
        kept = self.snapshots(source)
        if latest := [each for each in kept if stop is None or each.end <= stop][-1:]:
            self._users[latest[0].slot] += 1
            self._snapshots[target] = latest

    def drop(self, sequence: int) -> None:
        """Forget a sequence."""
        for snapshot in self._snapshots.pop(sequence, []):
            self._release(snapshot.slot)

    def shift(self, sequence: int, start: int, stop: int, by: int) -> None:
        """Count positions from elsewhere. States do not know them."""
        self._snapshots[sequence] = [
            Snapshot(end + by, slot) if start < end <= stop else Snapshot(end, slot)
            for end, slot in self.snapshots(sequence)
        ]

    def restore(self, sequence: int, end: int) -> int:
        """A slot for the state of a sequence that was saved; it is forgotten first."""
        self.drop(sequence)
        if not self._free:
            raise UnsupportedError(
                f"no slot is free for the state of sequence {sequence}: remove a sequence, or make "
                f"a cache with more"
            )
        slot = self._take()
        self._snapshots[sequence] = [Snapshot(end, slot)]
        return slot

    # ---- slots

    def n_free_without(self, sequence: int) -> int:
        """How many slots would be free if this sequence were forgotten."""
        own = sum(self._users[each.slot] == 1 for each in self.snapshots(sequence))
        return len(self._free) + own

    def _take(self) -> int:
        slot = self._free.pop()
        self._users[slot] = 1
        return slot

    def _release(self, slot: int) -> None:
        self._users[slot] -= 1
        if not self._users[slot]:
            self._free.append(slot)


def _listed(ends: Sequence[int]) -> str:
    return "position " + " or ".join(map(str, ends))
