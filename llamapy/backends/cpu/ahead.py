"""Compiling kernels before they are needed, in processes beside each other.

A process is given recipes of kernels, one after the other, and leaves their machine code on the
disk. It is a fresh Python that imports nothing of the caller's program, and it ends with the
caller, however that ends. A kernel is on the disk as a whole or not at all, so that nothing needs
to be cleaned up, and several callers do each other no harm.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ...errors import Cancelled
from ...threads import default_threads
from . import compile_worker
from .kernel import Compiled

Progress = Callable[[int, int], object]
# kernels for which it takes longer to start processes than to compile
FEW = 4

_log = logging.getLogger("llamapy")


def missing(kernels: Iterable[Compiled]) -> list[Compiled]:
    """Those whose machine code is neither in memory nor on the disk."""
    return [kernel for kernel in kernels if not kernel.is_ready]


def compile_ahead(
    kernels: list[Compiled], progress: Progress | None = None, processes: int | None = None
) -> None:
    """Compile kernels that are missing. `progress` is told how many are done, of how many.

    It stops the work by returning False.
    """
    told = _Told(progress, len(kernels))
    count = min(processes or default_threads(), len(kernels))
    if count < 2 or len(kernels) < FEW or not _is_python(sys.executable):
        rest: Iterable[Compiled] = kernels
    else:
        _log.info("compiling %d kernels in %d processes", len(kernels), count)
        rest = _in_processes(kernels, count, told)
    for kernel in rest:
        kernel.ready()
        told()


class _Told:
    """Counts what is done."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self) -> None:
        self._done += 1
        if self._progress is not None and self._progress(self._done, self._total) is False:
            raise Cancelled(f"compiling was stopped after {self._done} of {self._total} kernels")


def _is_python(executable: str | None) -> bool:
    """Whether this program can be started to run our module: not one that has Python inside."""
    name = Path(executable or "").stem.lower()
    return name.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)


def _in_processes(kernels: list[Compiled], count: int, told: _Told) -> list[Compiled]:
    """Compile in so many processes; those that no process could compile are given back."""
    waiting = deque(kernels)
    answers: queue.SimpleQueue[tuple[Compiled, str | None]] = queue.SimpleQueue()
    workers: list[Any] = []
    threads: list[threading.Thread] = []
    left = []
    try:
        for _ in range(count):
            workers.append(_start())
            arguments = workers[-1], waiting, answers
            threads.append(threading.Thread(target=_serve, args=arguments, daemon=True))
            threads[-1].start()
        for _ in kernels:
            kernel, problem = answers.get()
            if problem is None:
                told()
            else:
                _log.info("kernel %s is compiled in this process: %s", kernel.name, problem)
                left.append(kernel)
    finally:
        waiting.clear()
        for worker in workers:
            worker.kill()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        for worker in workers:
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()
    return left


def _start() -> Any:
    root = Path(__file__).parents[3]
    path = os.pathsep.join(each for each in sys.path if each)
    return subprocess.Popen(
        [sys.executable, "-m", compile_worker.__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=root,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _serve(worker: Any, waiting: deque[Compiled], answers: Any) -> None:
    """Hand kernels to one process, as long as there are any and it lives."""
    while True:
        try:
            kernel = waiting.popleft()
        except IndexError:
            return
        answers.put((kernel, _ask(worker, kernel)))


def _ask(worker: Any, kernel: Compiled) -> str | None:
    """What was wrong, if anything."""
    try:
        request = compile_worker.request(kernel)
    except TypeError as error:
        return str(error)
    try:
        worker.stdin.write(request + "\n")
        worker.stdin.flush()
        answer = worker.stdout.readline()
    except OSError:
        answer = ""
    if not answer:
        return "the process that was to compile it has ended"
    problem: str | None = json.loads(answer)
    return problem
