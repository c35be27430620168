"""Threads that help to walk tapes: they spin for a while when there is nothing to do, then sleep.

A team is shared by all models with as many threads; one tape is walked at a time, and several
Python threads take turns.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import sys
import threading
import time

import numpy as np

from .kernel import aligned_bytes
from .tape import COUNTERS, YIELD, Finished, Rows, address_of, follow, walk

# pauses of a thread without work before it sleeps: about a millisecond
SPIN = 20_000


@functools.cache
def _yield_address() -> int:
    """The function by which a thread offers its processor to others; 0 if there is none."""
    try:
        if sys.platform == "win32":
            function = ctypes.windll.kernel32.SwitchToThread
        else:
            function = ctypes.CDLL(None).sched_yield
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    except (OSError, AttributeError):
        return 0


class Team:
    """The calling thread and its helpers, which are started when there is work to share."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the helpers: in a process that was forked, there are none."""
        self._lock = threading.RLock()
        self._helpers: list[threading.Thread] = []
        self._asleep: set[threading.Event] = set()
        self._walking = False
        self._stopping = False
        self._block = aligned_bytes(COUNTERS + 64 * self.threads)
        self._shared = int(self._block.ctypes.data)
        self._block[YIELD : YIELD + 8].view(np.int64)[0] = _yield_address()

    def run(self, tape: Finished) -> None:
        """Walk a tape. Ctrl-C is seen afterwards."""
        for part in tape.parts:
            if isinstance(part, Rows):
                self._walk(part, 0)
            else:
                part()

    def profile(self, tape: Finished) -> tuple[list[float], list[float]]:
        """Walk a tape; the seconds of each row, and of each call of Python.

        Of rows that are joined the first has them all, and the others have none: NaN.
        """
        rows: list[float] = []
        calls: list[float] = []
        for part in tape.parts:
            started = time.perf_counter()
            if not isinstance(part, Rows):
                part()
                calls.append(time.perf_counter() - started)
                continue
            ticks = np.zeros(part.n_rows + 1, np.int64)
            self._walk(part, address_of(ticks))
            seconds = time.perf_counter() - started
            met = np.flatnonzero(ticks)
            spent = np.full(part.n_rows, np.nan)
            spent[met[:-1]] = np.diff(ticks[met])
            # the clock's own pace is nowhere written
            rows += (spent * seconds / max(1, np.nansum(spent))).tolist()
        return rows, calls

    def _walk(self, rows: Rows, times: int) -> None:
        with self._lock:
            if rows.shares and self.threads > 1:
                self._walking = True
                self._call_helpers()
            try:
                walk(rows.address, rows.n_rows, self._shared, self.threads, times)
            finally:
                self._walking = False

    def _call_helpers(self) -> None:
        for bell in tuple(self._asleep):
            bell.set()
        while len(self._helpers) < self.threads - 1:
            number = len(self._helpers) + 1
            helper = threading.Thread(
                target=self._help, args=(number,), name=f"llamapy-{number}", daemon=True
            )
            self._helpers.append(helper)
            helper.start()

    def _help(self, number: int) -> None:
        bell, seen, shared = threading.Event(), 0, self._shared
        while not self._stopping:
            before = seen
            seen = follow(shared, number, self.threads, seen, SPIN)
            if seen != before:
                continue
            # whoever has work says so, then rings for those that are asleep; whoever goes to sleep
            # says so, then looks for work: so one of them sees the other
            bell.clear()
            self._asleep.add(bell)
            if not (self._walking or self._stopping):
                bell.wait()
            self._asleep.discard(bell)

    def stop(self) -> None:
        """Let the helpers go. The next tape starts others."""
        with self._lock:
            self._stopping = True
            for bell in tuple(self._asleep):
                bell.set()
            for helper in self._helpers:
                # one that was about to sleep may have missed the bell
                while helper.is_alive():
                    helper.join(0.01)
                    for bell in tuple(self._asleep):
                        bell.set()
            self._helpers.clear()
            self._stopping = False

    @property
    def is_idle(self) -> bool:
        """Whether all helpers sleep."""
        return len(self._asleep) == len(self._helpers)


_teams: dict[int, Team] = {}
_lock = threading.Lock()


def team(threads: int) -> Team:
    """The team of so many threads."""
    with _lock:
        if threads not in _teams:
            _teams[threads] = Team(threads)
        return _teams[threads]


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for each in _teams.values():
        each.begin_anew()


def _at_exit() -> None:
    for each in _teams.values():
        each.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
