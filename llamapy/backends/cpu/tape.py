# mypy: check-untyped-defs=False
"""A tape: kernels with their arguments, one after the other, walked by compiled code.

One thread leads. It opens a row for all by setting counters, of which each thread takes pieces of
work: first of its own part, so that it reads memory in one stream, then of the others'. The leader
opens the next row when all pieces of this one are done. It needs no helper: one that comes late, or
is held back by another process, only takes fewer pieces. So nothing can wait for a thread that is
not there, and a row of a single piece costs no more than its call.

    row      kernel, arguments, work, work of a piece, pieces
    shared   a cache line for each: rows opened, the open row, pieces done, a way to yield;
             then for each thread the counter of its part: the end, shifted by 32, and the next
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from ...jit import kernel as compiled
from . import instructions as code
from . import targets
from .kernel import Kernel, aligned_bytes, device
from .simd import least, load_i64, word

WORDS = 5
ROW_BYTES = 8 * WORDS
OPENED, ROW, DONE, YIELD, COUNTERS = 0, 64, 128, 192, 256
MOST_PIECES = 1 << 30
# looks at a counter, each with a pause, before the processor is offered to others
PATIENCE = 2000


# ---- what kernels need not know: memory that threads share, and calls by address


def _load_shared(builder, at):
    return builder.load_atomic(code.pointer(builder, at, code.I64), "acquire", 8)


def _store_shared(builder, at, value):
    builder.store_atomic(value, code.pointer(builder, at, code.I64), "release", 8)


def _take(builder, at, count):
    return builder.atomic_rmw("add", code.pointer(builder, at, code.I64), count, "seq_cst")


def _pause(builder):
    """A hint that this is a loop that waits."""
    target = targets.current()
    if target.is_x86:
        code.call(builder, "llvm.x86.sse2.pause", code.VOID)
    elif target.is_arm:
        code.call(builder, "llvm.aarch64.hint", code.VOID, ir.Constant(code.I32, 1))


def _call(builder, address, *args):
    kind = ir.FunctionType(code.VOID, [arg.type for arg in args])
    builder.call(builder.inttoptr(address, kind.as_pointer()), args)


load_shared = word("load_shared", types.int64, (types.int64,), _load_shared)
store_shared = word("store_shared", types.void, (types.int64,) * 2, _store_shared)
take = word("take", types.int64, (types.int64,) * 2, _take)
pause = word("pause", types.void, (), _pause)
call_kernel = word("call_kernel", types.void, (types.int64,) * 5, _call)
call_nothing = word("call_nothing", types.void, (types.int64,), _call)


# ---- the walk


@device
def _run_piece(row, piece, thread):
    work, grain = load_i64(row + 16), load_i64(row + 24)
    first = piece * grain
    last = least(work, first + grain)
    call_kernel(load_i64(row), load_i64(row + 8), first, last, thread)


@device
def _rest(shared, waited):
    """Wait a moment; after many of them, let others have the processor."""
    pause()
    if waited % PATIENCE == PATIENCE - 1:
        give_way = load_i64(shared + YIELD)
        if give_way != 0:
            call_nothing(give_way)


@device
def _help(shared, thread, threads):
    """Do pieces of the open row, as long as there are any.

    A piece that was taken keeps its row open: only then is the row looked at.
    """
    for k in range(threads):
        counter = shared + COUNTERS + 64 * ((thread + k) % threads)
        while True:
            state = load_shared(counter)
            if state & 0xFFFFFFFF >= state >> 32:
                break
            state = take(counter, 1)
            piece = state & 0xFFFFFFFF
            if piece >= state >> 32:
                break
            _run_piece(load_shared(shared + ROW), piece, thread)
            take(shared + DONE, 1)


@device
def _open(row, pieces, shared, threads):
    store_shared(shared + ROW, row)
    store_shared(shared + DONE, 0)
    for part in range(threads):
        begin, end = pieces * part // threads, pieces * (part + 1) // threads
        store_shared(shared + COUNTERS + 64 * part, end << 32 | begin)
    take(shared + OPENED, 1)


@compiled
def walk(tape, count, shared, threads):
    """Run all rows of a tape, as the leader."""
    for k in range(count):
        row = tape + ROW_BYTES * k
        pieces = load_i64(row + 32)
        if pieces == 1 or threads == 1:
            for piece in range(pieces):
                _run_piece(row, piece, 0)
            continue
        _open(row, pieces, shared, threads)
        _help(shared, 0, threads)
        waited = 0
        while load_shared(shared + DONE) != pieces:
            _rest(shared, waited)
            waited += 1


@compiled
def follow(shared, thread, threads, seen, patience):
    """Help with whatever is opened; return the count of rows when nothing was for a while."""
    waited = 0
    while waited < patience:
        opened = load_shared(shared + OPENED)
        if opened != seen:
            seen, waited = opened, 0
            _help(shared, thread, threads)
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


class Tape:
    """Kernels with their arguments in order, and calls of Python between them."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._rows: list[tuple[int, int, int, int]] = []  # kernel, first argument, work, grain
        self._arguments: list[int] = []
        self._rooms: list[tuple[int, int]] = []  # the argument that is its address, bytes
        self._calls: list[tuple[int, Callable[[], object]]] = []  # rows before it, a call
        self._kept: list[Any] = []
        # activations that are ready to be multiplied, by where they came from
        self.ready: dict[tuple[Any, ...], Any] = {}
        self._unused: list[np.ndarray] = []

    def add(self, kernel: Kernel, work: int, grain: int, *values: Any) -> None:
        """A kernel over so much work, of which a piece has `grain`."""
        if len(values) != len(kernel.parameters):
            raise TypeError(f"{kernel} was given {len(values)} arguments")
        if work <= 0:
            return
        grain = max(1, grain, -(-work // MOST_PIECES))
        self._rows.append((kernel.address, len(self._arguments), work, grain))
        for value in values:
            if type(value) is int:
                self._arguments.append(value)
            elif isinstance(value, Room):
                self._rooms.append((len(self._arguments), value.n_bytes))
                self._arguments.append(0)
            else:
                self._arguments.append(_word(value))
        self._kept.append(values)

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
        head = WORDS * len(self._rows)
        table = np.empty(head + len(self._arguments), np.int64)
        start = address_of(table)
        words: list[int] = []
        for address, first, work, grain in self._rows:
            pieces = -(-work // grain)
            words += (address, start + 8 * (head + first), work, grain, pieces)
        table[:] = words + self._arguments
        kept = [table, self._kept]
        if self._rooms:
            room = aligned_bytes(self.threads * max(size for _, size in self._rooms))
            for at, _ in self._rooms:
                table[head + at] = address_of(room)
            kept.append(room)
        return Finished(start, words[WORDS - 1 :: WORDS], self._calls, kept)


class Finished:
    """Parts of a tape between calls of Python: rows, or a call.

    Rows are an address, how many, and whether there is something to share.
    """

    def __init__(
        self,
        start: int,
        pieces: list[int],
        calls: list[tuple[int, Callable[[], object]]],
        kept: list[Any],
    ) -> None:
        self._kept = kept
        self.n_rows = len(pieces)
        self.parts: list[tuple[int, int, bool] | Callable[[], object]] = []
        done = 0
        for at, function in (*calls, (len(pieces), None)):
            if at > done:
                shares = max(pieces[done:at]) > 1
                self.parts.append((start + ROW_BYTES * done, at - done, shares))
            if function is not None:
                self.parts.append(function)
            done = at
