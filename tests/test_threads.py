"""The thread pool: everything once, errors and Ctrl-C through, nested calls and forks alive."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from llamapy import threads


@pytest.mark.parametrize("count", [0, 1, 7, 64, 1000])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_item_is_done_once(count, workers):
    done = np.zeros(count, np.int64)

    def task(start, stop):
        done[start:stop] += 1

    threads.run(task, count, grain=7, threads=workers)
    assert (done == 1).all()


def test_pieces_are_no_larger_than_the_grain():
    pieces = []
    threads.run(lambda start, stop: pieces.append((start, stop)), 10, grain=4, threads=3)
    assert sorted(pieces) == [(0, 4), (4, 8), (8, 10)]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("where", [0, 3])
def test_an_error_stops_the_hand_out(error, where):
    started = []

    def task(start, stop):
        started.append(start)
        if start == where:
            raise error("stop here")

    with pytest.raises(error, match="stop here"):
        threads.run(task, 100_000, threads=2)
    assert len(started) < 100_000


def test_calls_may_be_nested():
    done = []

    def outer(start, stop):
        threads.run(lambda a, b: done.append((start, a)), 4, threads=4)

    threads.run(outer, 4, threads=4)
    assert sorted(done) == [(i, j) for i in range(4) for j in range(4)]


def count_to(count):
    counted = []
    threads.run(lambda start, stop: counted.append(stop - start), count, grain=3, threads=3)
    return sum(counted)


def test_many_callers_share_the_pool():
    totals = [0] * 8

    def caller(i):
        for _ in range(50):
            totals[i] += count_to(20)

    callers = [threading.Thread(target=caller, args=(i,)) for i in range(8)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(60)
    assert totals == [1000] * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_pool_survives_a_fork():
    # in a process of its own: forking one with threads is what the warning filter is about
    code = """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from llamapy import threads
done = []
threads.run(lambda a, b: done.append(b - a), 100, threads=4)
child = os.fork()
if child == 0:
    done.clear()
    threads.run(lambda a, b: done.append(b - a), 100, threads=4)
    os._exit(0 if sum(done) == 100 else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_the_number_of_threads_can_be_set(monkeypatch):
    monkeypatch.setenv("LLAMAPY_THREADS", "3")
    assert threads.default_threads() == 3
    monkeypatch.setenv("LLAMAPY_THREADS", "none")
    assert 1 <= threads.default_threads() <= (os.cpu_count() or 1)
