"""The one thread pool: work over a range of rows, handed out in small pieces.

Kernels release the GIL, so ordinary threads share the cores. Pieces are taken dynamically: a busy
core takes fewer and does not hold the others back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0


def default_threads() -> int:
    """As many threads as this process may use cores; `LLAMAPY_THREADS` overrides it."""
    asked = os.environ.get("LLAMAPY_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _executor(size: int) -> ThreadPoolExecutor:
    """The shared pool, grown when more threads are asked for than it has."""
    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < size:
            _pool = ThreadPoolExecutor(size, thread_name_prefix="llamapy")
            _pool_size = size
        return _pool


def _forget_pool() -> None:
    """Threads do not survive a fork: the child starts a pool of its own."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def run(
    task: Callable[[int, int], object], count: int, *, grain: int = 1, threads: int | None = None
) -> None:
    """Call `task(start, stop)` over 0..count in pieces of `grain`, from several threads at once.

    The first error stops the hand-out and is raised here, and so is Ctrl-C: both as soon as the
    pieces in progress are done. The calling thread works too.
    """
    grain = max(1, grain)
    pieces = -(-count // grain)
    helpers = min(threads or default_threads(), pieces) - 1
    next_piece = 0
    take = threading.Lock()

    def work() -> None:
        nonlocal next_piece
        while True:
            with take:
                start = next_piece * grain
                next_piece += 1
            if start >= count:
                return
            try:
                task(start, min(start + grain, count))
            except BaseException:
                with take:
                    next_piece = pieces
                raise

    pending: list[Future[None]] = []
    if helpers > 0:
        pool = _executor(helpers)
        pending = [pool.submit(work) for _ in range(helpers)]
    try:
        work()
    finally:
        next_piece = pieces
        # a helper that never started has nothing to do, and waiting for it could wait for ourselves
        started = [future for future in pending if not future.cancel()]
        wait(started)
    for future in started:
        future.result()
