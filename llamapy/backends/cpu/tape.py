# mypy: check-untyped-defs=False
"""A tape: kernels with their arguments, one after the other, walked by compiled code.

One thread leads. It opens a row for all by setting counters, of which each thread takes pieces of
work: first of its own part, from the front, so that it reads memory in one stream; then of the
others', from the back. The leader opens the next row when all pieces of this one are done. It needs
no helper: one that comes late, or is held back by another process, only takes fewer pieces. So
nothing can wait for a thread that is not there, and a row of a single piece costs no more than its
call. Rows that do not need each other may be joined, and then are opened, and waited for, together.

Whoever waits fetches the beginning of its part of the weights that come next.

    row      kernel, arguments, work, work of a piece, pieces; those of all that are joined to it
             from here on, how many rows these are, where each thread's part of the next weights is
    shared   a cache line for each: rows opened, the open row, pieces done, a way to yield;
             then for each thread the counter of its part: the end, shifted by 32, and the next;
             beside it, where its part of the next weights is
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .atomics import (
    call_kernel,
    call_nothing,
    exchange,
    load_shared,
    pause,
    store_shared,
    take,
    ticks,
)
from .kernel import INT64, VOID, Kernel, aligned_bytes, device, native
from .simd import least, load_i64, prefetch, store_i64

KERNEL, ARGUMENTS, WORK, GRAIN, PIECES, ALL_PIECES, JOINED, AHEAD = range(0, 64, 8)
WORDS = 8
ROW_BYTES = 8 * WORDS
OPENED, ROW, DONE, YIELD, COUNTERS = 0, 64, 128, 192, 256
NEXT_WEIGHTS = 8  # in the line of a counter
MOST_PIECES = 1 << 30
# looks at a counter, each with a pause, before the processor is offered to others
PATIENCE = 2000
# bytes of the next weights that a thread fetches while it waits: well below a core's own cache
FETCHED = 1 << 17


# ---- the walk


@device
def _run_piece(row, piece, thread):
    while piece >= load_i64(row + PIECES):
        piece -= load_i64(row + PIECES)
        row += ROW_BYTES
    work, grain = load_i64(row + WORK), load_i64(row + GRAIN)
    first = piece * grain
    last = least(work, first + grain)
    call_kernel(load_i64(row + KERNEL), load_i64(row + ARGUMENTS), first, last, thread)


@device
def _rest(shared, waited):
    """Wait a moment; after many of them, let others have the processor."""
    pause()
    if waited % PATIENCE == PATIENCE - 1:
        give_way = load_i64(shared + YIELD)
        if give_way != 0:
            call_nothing(give_way)


@device
def _take_first(counter):
    """The next piece of a part, or -1 when there is none."""
    while True:
        state = load_shared(counter)
        if state & 0xFFFFFFFF >= state >> 32:
            return -1
        if exchange(counter, state, state + 1):
            return state & 0xFFFFFFFF


@device
def _take_last(counter):
    """The last piece of a part, or -1 when there is none."""
    while True:
        state = load_shared(counter)
        if state & 0xFFFFFFFF >= state >> 32:
            return -1
        if exchange(counter, state, state - (1 << 32)):
            return (state >> 32) - 1


@device
def _help(shared, thread, threads):
    """Do pieces of the open row, as long as there are any.

    A piece that was taken keeps its row open: only then is the row looked at.
    """
    own = shared + COUNTERS + 64 * thread
    piece = _take_first(own)
    while piece >= 0:
        _run_piece(load_shared(shared + ROW), piece, thread)
        take(shared + DONE, 1)
        piece = _take_first(own)
    for k in range(1, threads):
        other = shared + COUNTERS + 64 * ((thread + k) % threads)
        piece = _take_last(other)
        while piece >= 0:
            _run_piece(load_shared(shared + ROW), piece, thread)
            take(shared + DONE, 1)
            piece = _take_last(other)


@device
def _open(row, pieces, shared, threads):
    ahead = load_i64(row + AHEAD)
    store_shared(shared + ROW, row)
    store_shared(shared + DONE, 0)
    for part in range(threads):
        counter = shared + COUNTERS + 64 * part
        store_i64(counter + NEXT_WEIGHTS, load_i64(ahead + 8 * part))
        begin, end = pieces * part // threads, pieces * (part + 1) // threads
        store_shared(counter, end << 32 | begin)
    take(shared + OPENED, 1)


@native(VOID)
def walk(tape, count, shared, threads, times):
    """Run all rows of a tape, as the leader; note the time at each, if there is room for it."""
    k = 0
    while k < count:
        row = tape + ROW_BYTES * k
        if times != 0:
            store_i64(times + 8 * k, ticks())
        k += load_i64(row + JOINED)
        pieces = load_i64(row + ALL_PIECES)
        if pieces == 1 or threads == 1:
            for piece in range(pieces):
                _run_piece(row, piece, 0)
            continue
        _open(row, pieces, shared, threads)
        _help(shared, 0, threads)
        waited, at = 0, load_i64(shared + COUNTERS + NEXT_WEIGHTS)
        while load_shared(shared + DONE) != pieces:
            if at != 0 and waited < FETCHED // 64:
                prefetch(at + 64 * waited)
            else:
                _rest(shared, waited)
            waited += 1
    if times != 0:
        store_i64(times + 8 * count, ticks())


@native(INT64)
def follow(shared, thread, threads, seen, patience):
    """Help with whatever is opened; return the count of rows when nothing was for a while."""
    waited, ahead, fetched = 0, 0, FETCHED
    while waited < patience:
        opened = load_shared(shared + OPENED)
        if opened != seen:
            seen, waited = opened, 0
            _help(shared, thread, threads)
            following = load_i64(shared + COUNTERS + 64 * thread + NEXT_WEIGHTS)
            if following != ahead:
                ahead, fetched = following, 0
        elif ahead != 0 and fetched < FETCHED:
            prefetch(ahead + fetched)
            fetched += 64
        else:
            _rest(shared, waited)
            waited += 1
    return seen


# ---- building one


def address_of(array: np.ndarray) -> int:
    """Where its first byte is."""
    address: int = array.__array_interface__["data"][0]
    return address


def _word(value: Any) -> int:
    """What a kernel gets: an array's address, a float's bits, or a whole number."""
    if isinstance(value, np.ndarray):
        return address_of(value)
    if isinstance(value, float | np.floating):
        return int(np.float32(value).view(np.int32))
    return int(value)


class Room:
    """Memory that a kernel works in: so many bytes for each thread, until the kernel is done."""

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes


class _Row:
    __slots__ = ("first", "grain", "joined", "kernel", "pieces", "weights", "work")

    def __init__(
        self, kernel: int, first: int, work: int, grain: int, weights: np.ndarray | None
    ) -> None:
        self.kernel, self.work, self.grain, self.weights = kernel, work, grain, weights
        self.first = first  # its first argument
        self.pieces = -(-work // grain)
        self.joined = False  # to the row before it


class Tape:
    """Kernels with their arguments in order, and calls of Python between them."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._rows: list[_Row] = []
        self._arguments: list[int] = []
        self._rooms: list[tuple[int, int]] = []  # the argument that is its address, bytes
        self._calls: list[tuple[int, Callable[[], object]]] = []  # rows before it, a call
        self._kept: list[Any] = []
        # activations that are ready to be multiplied, by where they came from
        self.ready: dict[tuple[Any, ...], Any] = {}
        self._unused: list[np.ndarray] = []

    def add(
        self,
        kernel: Kernel,
        work: int,
        grain: int,
        *values: Any,
        weights: np.ndarray | None = None,
    ) -> None:
        """A kernel over so much work, of which a piece has `grain`.

        `weights` are read from end to end, as the work proceeds.
        """
        if len(values) != len(kernel.parameters):
            raise TypeError(f"{kernel} was given {len(values)} arguments")
        if work <= 0:
            return
        grain = max(1, grain, -(-work // MOST_PIECES))
        self._rows.append(_Row(kernel.address, len(self._arguments), work, grain, weights))
        for value in values:
            if type(value) is int:
                self._arguments.append(value)
            elif isinstance(value, Room):
                self._rooms.append((len(self._arguments), value.n_bytes))
                self._arguments.append(0)
            else:
                self._arguments.append(_word(value))
        self._kept.append(values)

    def arguments(self, values: tuple[Any, ...]) -> np.ndarray:
        """Arguments in memory, for kernels that are called by another one."""
        self._kept.append(values)
        return np.array([_word(value) for value in values], np.int64)

    def join(self) -> None:
        """Let the last row be done together with the one before, which it does not need.

        Small rows stay apart: to share them costs more than they do.
        """
        before, last = self._rows[-2:]
        if before.joined or before.pieces > 1 or last.pieces > 1:
            last.joined = True

    def room(self, n_bytes: int) -> Room:
        """Memory of each thread for one kernel: the kernels of a tape share it."""
        return Room(n_bytes)

    def lasting(self, n_bytes: int) -> np.ndarray:
        """Memory for activations, until what they were made of is written to."""
        fits = [each for each in self._unused if n_bytes <= each.size <= 2 * n_bytes]
        if not fits:
            return aligned_bytes(n_bytes)
        best = min(fits, key=lambda each: each.size)
        self._unused = [each for each in self._unused if each is not best]
        return best

    def wrote(self, out: Any = None) -> None:
        """Whatever was made of these numbers is out of date; without them, whatever there is."""
        start = end = 0
        if out is not None:
            start = address_of(out)
            end = start + out.nbytes
        for key, ready in list(self.ready.items()):
            there, tokens, columns = key[:3]
            if out is None or (there < end and start < there + 4 * tokens * columns):
                del self.ready[key]
                if ready.data.ndim == 1:
                    self._unused.append(ready.data)

    def call(self, function: Callable[[], object]) -> None:
        """A call of Python at this place."""
        self._calls.append((len(self._rows), function))

    def __len__(self) -> int:
        return len(self._rows)

    def finish(self) -> Finished:
        """The tape, ready to be walked."""
        groups = self._groups()
        head = WORDS * len(self._rows)
        end = head + len(self._arguments)
        streams = [
            k for k, group in enumerate(groups) if any(row.weights is not None for row in group)
        ]
        beginnings = [self._beginnings(groups[k]) for k in streams] or [[0] * self.threads]
        table = np.empty(end + self.threads * len(beginnings), np.int64)
        start = address_of(table)
        words: list[int] = []
        shared = []
        for k, group in enumerate(groups):
            # after the last of them the first comes next: tapes are walked again
            following = next((n for n, stream in enumerate(streams) if stream > k), 0)
            ahead = start + 8 * (end + self.threads * following)
            left = sum([row.pieces for row in group])
            shared += [left] * len(group)
            for joined, row in enumerate(group):
                words += (row.kernel, start + 8 * (head + row.first), row.work, row.grain)
                words += (row.pieces, left, len(group) - joined, ahead)
                left -= row.pieces
        table[:] = words + self._arguments + [at for each in beginnings for at in each]
        kept: list[Any] = [self._kept]
        if self._rooms:
            room = aligned_bytes(self.threads * max(size for _, size in self._rooms))
            for argument, _ in self._rooms:
                table[head + argument] = address_of(room)
            kept.append(room)
        return Finished(table, shared, self._calls, kept)

    def _groups(self) -> list[list[_Row]]:
        """Rows that are done together."""
        groups: list[list[_Row]] = []
        for row in self._rows:
            if row.joined:
                groups[-1].append(row)
            else:
                groups.append([row])
        return groups

    def _beginnings(self, group: list[_Row]) -> list[int]:
        """Where the weights of each thread's part begin."""
        pieces = sum(row.pieces for row in group)
        return [_place(group, pieces * part // self.threads) for part in range(self.threads)]


def _place(group: list[_Row], piece: int) -> int:
    """Where the weights of this piece begin."""
    for row in group:
        if piece < row.pieces:
            break
        piece -= row.pieces
    if row.weights is None:
        return 0
    return address_of(row.weights) + row.weights.nbytes // row.work * row.grain * piece


class Rows(NamedTuple):
    """Rows of a tape between calls of Python, and whether there is something to share."""

    address: int
    n_rows: int
    shares: bool


class Finished:
    """The parts of a tape: rows, and calls of Python between them."""

    def __init__(
        self,
        table: np.ndarray,
        pieces: list[int],
        calls: list[tuple[int, Callable[[], object]]],
        kept: list[Any],
    ) -> None:
        self.table, self._kept = table, kept
        self.n_rows = len(pieces)
        start = address_of(table)
        self.parts: list[Rows | Callable[[], object]] = []
        done = 0
        for at, function in (*calls, (len(pieces), None)):
            if at > done:
                shares = max(pieces[done:at]) > 1
                self.parts.append(Rows(start + ROW_BYTES * done, at - done, shares))
            if function is not None:
                self.parts.append(function)
            done = at
