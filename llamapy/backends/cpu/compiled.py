"""A plan made into a tape: which launches become which rows, and how long each takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .blocks import Blocks
from .tape import Tape, address_of
from .workers import Team

if TYPE_CHECKING:
    from ...plan import Launch, Plan

Span = tuple[int, int]  # of memory: where it begins and ends


def spans(buffers: Sequence[Any]) -> list[Span]:
    """Where some buffers are."""
    found = []
    for buffer in buffers:
        if isinstance(buffer, Blocks):
            # they change their form, and so their place; but no other object has theirs
            found.append((id(buffer), id(buffer) + 1))
        elif buffer is not None:
            start = address_of(buffer)
            found.append((start, start + buffer.nbytes))
    return found


def overlap(some: list[Span], others: list[Span]) -> bool:
    """Whether they share memory."""
    return any(a < d and c < b for a, b in some for c, d in others)


def buffers_of(launch: Launch) -> list[Any]:
    """What a launch reads."""
    return [None if arg is None else arg.buffer for arg in launch.args]


class Compiled:
    """Runs a plan: rows of one tape, and Python where an operation has no kernel.

    Launches that follow each other and share no memory that one of them writes are joined.
    """

    def __init__(self, plan: Plan, team: Team, is_kernel: Callable[[Any], bool]) -> None:
        self._team, self._is_kernel = team, is_kernel
        self._tape = Tape(team.threads)
        # what each row, and each call of Python, is for
        self._rows: list[Launch] = []
        self._calls: list[Launch | None] = []
        self._reads: list[Span] = []
        self._writes: list[Span] = []
        launches = {id(launch.run): launch for launch in plan.launches}
        for call in plan.calls:
            self._add(call, launches.get(id(call)))
        self.tape = self._tape.finish()
        self._launches = plan.launches

    def __call__(self) -> None:
        self._team.run(self.tape)

    def _add(self, call: Callable[[], object], launch: Launch | None) -> None:
        tape = self._tape
        if launch is None or not self._is_kernel(launch.kernel):
            tape.call(call)
            tape.wrote()
            self._calls.append(launch)
            self._reads, self._writes = [], []
            return
        before, buffers, out = len(tape), buffers_of(launch), launch.out.buffer
        launch.kernel.put(tape, out, *buffers, **launch.params)  # type: ignore[attr-defined]
        for buffer in (out, *buffers):
            if isinstance(buffer, Blocks):
                buffer.pinned = True
        tape.wrote(out if isinstance(out, np.ndarray) else None)
        self._rows += [launch] * (len(tape) - before)
        if len(tape) > before:
            self._join(len(tape) - before, spans(buffers), spans([out]))

    def _join(self, n_rows: int, reads: list[Span], writes: list[Span]) -> None:
        """Let these rows be done with those before them, or start anew."""
        if n_rows == 1 and self._is_apart(reads, writes):
            self._tape.join()
        else:
            self._reads, self._writes = [], []
        self._reads += reads
        self._writes += writes

    def _is_apart(self, reads: list[Span], writes: list[Span]) -> bool:
        """Whether this needs nothing of the rows before, nor they of it."""
        if not self._writes:
            return False
        return not (overlap(reads, self._writes) or overlap(writes, self._reads + self._writes))

    def profile(self, repeats: int) -> Iterator[tuple[Launch, float | None]]:
        """The median of the seconds of each launch, measured in the walk itself.

        None is for launches that are done within others.
        """
        rows, calls = [], []
        for _ in range(repeats):
            measured = self._team.profile(self.tape)
            rows.append(measured[0])
            calls.append(measured[1])
        seconds: dict[int, float] = {}
        launches = [*self._rows, *self._calls]
        medians = [*np.median(rows, 0).tolist(), *np.median(calls, 0).tolist()]
        for launch, spent in zip(launches, medians, strict=True):
            if launch is not None and not math.isnan(spent):
                seconds[id(launch)] = seconds.get(id(launch), 0.0) + spent
        return ((launch, seconds.get(id(launch))) for launch in self._launches)
