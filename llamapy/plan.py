"""Recording a computation, and replaying it.

While a function runs under `record`, each operation notes what it launched: kernel, memory in,
memory out. Replaying the plan runs the same launches on the same memory. Three conventions make
that enough: all that varies sits in buffers that are refilled in place; memory is reused as soon
as its last tensor dies; and models neither branch on values nor compute outside of operations.
"""

from __future__ import annotations

import bisect
import contextvars
import functools
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import tables
from .errors import UnsupportedError
from .tensor import FLOAT32, Tensor, dtype_name

if TYPE_CHECKING:
    from .backends import Backend

ALIGNMENT = 64  # bytes: one register of the widest kind, one cache line
_BYTE: np.dtype[Any] = np.dtype(np.uint8)


# ---- memory


class Lease:
    """The right to a piece of an arena's memory. It ends when the last tensor that has it dies."""

    __slots__ = ("_arena", "_backend", "_piece", "n_bytes")

    def __init__(self, arena: Arena, piece: Any, n_bytes: int, backend: Backend) -> None:
        self._arena, self._piece, self.n_bytes = arena, piece, n_bytes
        self._backend = backend

    @property
    def recording(self) -> bool:
        """Whether a plan that uses this memory is being recorded."""
        return self._arena.recording

    def __del__(self) -> None:
        self._arena.release(self._piece, self.n_bytes, self._backend)


class Arena:
    """Memory that plans share: a piece is used again as soon as nothing refers to it."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self.recording = False
        # of each backend: size, number, memory; sorted
        self._free: dict[Backend, list[tuple[int, int, Any]]] = {}
        self._numbers = itertools.count()

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any], backend: Backend) -> Tensor:
        """A new tensor: the smallest piece that fits and is not more than twice too large."""
        needed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        size = max(1, -(-needed // ALIGNMENT)) * ALIGNMENT
        free = self._free.get(backend, [])
        at = bisect.bisect_left(free, (size, -1))
        if at < len(free) and free[at][0] <= 2 * size:
            size, _, piece = free.pop(at)
        else:
            piece = backend.empty((size,), _BYTE)
            self.n_bytes += size
        lease = Lease(self, piece, size, backend)
        return Tensor(backend.view(piece, shape, dtype), shape, dtype, backend, lease=lease)

    def release(self, piece: Any, size: int, backend: Backend) -> None:
        bisect.insort(self._free.setdefault(backend, []), (size, next(self._numbers), piece))


class PoisonedArena(Arena):
    """An arena that fills released memory with NaN, so that a use after release cannot hide."""

    def release(self, piece: Any, size: int, backend: Backend) -> None:
        fill = functools.partial(backend.write, piece, np.full(size, 0xFF, np.uint8))
        fill()
        plan = recording()
        if plan is not None and plan.arena is self:
            plan.poison(fill)
        super().release(piece, size, backend)


# ---- plans


class Launch:
    """One step of a plan: a kernel, or a definition, with its operands."""

    __slots__ = (
        "args",
        "kernel",
        "kernel_name",
        "name",
        "op",
        "out",
        "params",
        "run",
        "seconds",
    )

    def __init__(
        self,
        op: str,
        kernel: Callable[..., None],
        out: Tensor,
        args: Sequence[Tensor | None],
        params: dict[str, Any],
        *,
        kernel_name: str = "",
    ) -> None:
        self.op, self.kernel, self.params = op, kernel, params
        self.kernel_name = kernel_name  # as the backend calls it; empty for a definition
        # a plan must not keep alive what it refers to: the arena knows what may be used again
        self.out = out.unleased()
        self.args = tuple(arg and arg.unleased() for arg in args)
        named = (arg.name for arg in args if arg is not None and arg.name)
        self.name = next(named, "").removesuffix(".weight")
        self.seconds: float | None = None
        buffers = [None if arg is None else arg.buffer for arg in args]
        self.run = functools.partial(kernel, out.buffer, *buffers, **params)

    @property
    def shapes(self) -> str:
        """`[4,256] [128,256]Q4_K -> [4,128]`."""
        *args, out = (_shape(tensor) for tensor in (*self.args, self.out) if tensor is not None)
        return f"{' '.join(args)} -> {out}"


class Plan:
    """A computation, remembered: its launches in order, and the names of points to look at."""

    def __init__(self, arena: Arena | None = None) -> None:
        self.arena = arena or Arena()
        self.launches: list[Launch] = []
        self.output: Any = None
        self.backend: Backend | None = None
        # what a replay calls: launches, and what spoils released memory
        self.calls: list[Callable[[], None]] = []
        self._marks: list[tuple[int, str, Tensor]] = []  # calls done before it, name, value
        self._compiled: Callable[[], object] | None = None

    # -- while recording

    def add(self, launch: Launch) -> None:
        """Note one launch."""
        self.backend = self.backend or launch.out.backend
        self.launches.append(launch)
        self.calls.append(launch.run)

    def poison(self, fill: Callable[[], None]) -> None:
        """Spoil released memory at this point of every replay, too."""
        self.calls.append(fill)

    def mark(self, name: str, value: Tensor) -> None:
        """Remember that this is the point of that name."""
        self._marks.append((len(self.calls), name, value.unleased()))
        if self.launches and self.launches[-1].out.buffer is value.buffer:
            last = self.launches[-1]
            last.name = name if last.name in name else last.name

    # -- afterwards

    def segments(self) -> Iterator[Plan]:
        """The plan in parts of one backend each; what moves values belongs to where they go."""
        launches = {id(launch.run): launch for launch in self.launches}
        segment = Plan(self.arena)
        for call in self.calls:
            launch = launches.get(id(call))
            if launch is None:
                segment.calls.append(call)
                continue
            if segment.backend not in (None, launch.out.backend):
                yield segment
                segment = Plan(self.arena)
            segment.add(launch)
        yield segment

    @property
    def run(self) -> Callable[[], object]:
        """The replay, or what the backend compiled it to."""
        return self._compiled or self.replay

    @run.setter
    def run(self, compiled: Callable[[], object]) -> None:
        # a plan that referred to itself would keep its memory until the garbage is collected
        self._compiled = None if compiled == self.replay else compiled

    def replay(self, watch: Sequence[str] | None = None) -> Any:
        """Run all launches again and return the output; with `watch`, iterate over what it names.

        `watch` takes patterns, such as `["blk.*.ffn_out"]`; each point that matches is given as
        `(name, array)` at its moment, in the order of the computation.
        """
        if watch is not None:
            return self._watching(watch)
        for call in self.calls:
            call()
        return self.output

    def _watching(self, watch: Sequence[str]) -> Iterator[tuple[str, NDArray[Any]]]:
        done = 0
        for at, name, value in self._marks:
            if any(fnmatchcase(name, pattern) for pattern in watch):
                for call in self.calls[done:at]:
                    call()
                done = max(done, at)
                yield name, value.numpy().copy()
        for call in self.calls[done:]:
            call()

    @property
    def names(self) -> list[str]:
        """The points that can be watched."""
        return [name for _, name, _ in self._marks]

    def points(self) -> list[tuple[str, int]]:
        """The points that can be watched, each with the number of launches before it."""
        launches = {id(launch.run): i for i, launch in enumerate(self.launches)}
        done = [0]
        for call in self.calls:
            done.append(done[-1] + (id(call) in launches))
        return [(name, done[at]) for at, name, _ in self._marks]

    @property
    def fallbacks(self) -> list[str]:
        """The operations that ran their NumPy definition, for want of a kernel."""
        return sorted({launch.op for launch in self.launches if not launch.kernel_name})

    def profile(self, repeats: int = 5) -> Profile:
        """Run with a clock at every launch; the median of each stays in the printed plan.

        What a backend has compiled is measured as it runs. There, launches may be done together:
        then the first of them has the time of all, and the others are printed as `joined`.
        """
        measured = getattr(self.run, "profile", self._measured)
        for launch, seconds in measured(repeats):
            launch.seconds = seconds
        return Profile(self)

    def _measured(self, repeats: int) -> Iterator[tuple[Launch, float]]:
        """The median of the seconds of each launch, one by one."""
        seconds = np.empty((repeats, len(self.launches)))
        for row in seconds:
            for i, launch in enumerate(self.launches):
                started = time.perf_counter()
                launch.run()
                launch.out.backend.sync()
                row[i] = time.perf_counter() - started
        return zip(self.launches, np.median(seconds, 0).tolist(), strict=True)

    def __len__(self) -> int:
        return len(self.launches)

    def _rows(self) -> list[tuple[str, ...]]:
        """What is shown of each launch, behind the names of the columns."""
        rows: list[tuple[str, ...]] = [("", "operation", "name", "shapes", "kernel", "us")]
        measured = any(launch.seconds is not None for launch in self.launches)
        within = "joined" if measured else ""
        for i, launch in enumerate(self.launches):
            spent = within if launch.seconds is None else f"{launch.seconds * 1e6:.2f}"
            rows.append((str(i), launch.op, launch.name, launch.shapes, launch.kernel_name, spent))
        return rows

    def _heading(self) -> str:
        names = dict.fromkeys(launch.out.backend.name for launch in self.launches)
        where = "+".join(names) or "nothing"
        return f"{len(self)} launches on {where}, {self.arena.n_bytes} bytes of temporaries"

    def __str__(self) -> str:
        return f"{self._heading()}\n{_table(self._rows())}"

    def _repr_html_(self) -> str:
        header, *rows = self._rows()
        return tables.as_html(rows, header, self._heading(), left=5)


class Profile:
    """Where a plan's time goes, by operation and by weight."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    @property
    def seconds(self) -> float:
        """The sum over all launches."""
        return sum(launch.seconds or 0.0 for launch in self.plan.launches)

    def by(self, key: Callable[[Launch], str]) -> dict[str, tuple[int, float]]:
        """Launches and seconds of each group, the most expensive first."""
        groups: dict[str, tuple[int, float]] = {}
        for launch in self.plan.launches:
            count, seconds = groups.get(key(launch), (0, 0.0))
            groups[key(launch)] = count + 1, seconds + (launch.seconds or 0.0)
        return dict(sorted(groups.items(), key=lambda group: -group[1][1]))

    def __str__(self) -> str:
        total = self.seconds
        rows = [("operation", "launches", "us", "share")]
        for op, (count, seconds) in self.by(lambda launch: launch.op).items():
            share = seconds / total if total else 0.0
            rows.append((op, str(count), f"{seconds * 1e6:.1f}", f"{share:.0%}"))
        rows.append(("all", str(len(self.plan)), f"{total * 1e6:.1f}", ""))
        return _table(rows)


_recording: contextvars.ContextVar[Plan | None] = contextvars.ContextVar("plan", default=None)


def recording() -> Plan | None:
    """The plan that is being recorded, if one is."""
    return _recording.get()


def record(function: Callable[..., Any], *args: Any, arena: Arena | None = None) -> Plan:
    """Run `function(*args)` once and return the plan of what it launched.

    Plans that never run at the same time may share an arena. A `PoisonedArena` shows memory that
    is read after its release.
    """
    if recording() is not None:
        raise UnsupportedError("a plan is being recorded already: record one after the other")
    plan = Plan(arena)
    token = _recording.set(plan)
    plan.arena.recording = True
    try:
        plan.output = function(*args)
    finally:
        plan.arena.recording = False
        _recording.reset(token)
    return plan


def new_tensor(shape: tuple[int, ...], dtype: np.dtype[Any], backend: Backend) -> Tensor:
    """Memory for a result: the arena's while recording, else the backend's."""
    plan = recording()
    if plan is not None:
        return plan.arena.take(shape, dtype, backend)
    return Tensor(backend.empty(shape, dtype), shape, dtype, backend)


def _shape(tensor: Tensor) -> str:
    sizes = ",".join(map(str, tensor.shape))
    return f"[{sizes}]" + ("" if tensor.dtype == FLOAT32 else dtype_name(tensor.dtype))


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
