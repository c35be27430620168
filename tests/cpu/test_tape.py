"""Tapes and the threads that walk them: nothing is left out, done twice, or waited for in vain."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.backends.cpu.tape import WORDS, Tape
from llamapy.backends.cpu.workers import Team, team
from llamapy.plan import PoisonedArena, record
from llamapy.quants import get
from llamapy.tensor import Tensor

from .counting import count, where


@pytest.fixture
def own_team():
    """Teams that no other test uses, and that are sent home."""
    made = []

    def make(threads):
        made.append(Team(threads))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize(("work", "grain"), [(1, 1), (10, 1), (10, 3), (1000, 7), (5, 100)])
def test_each_piece_is_done_once_and_in_order(threads, work, grain, own_team):
    seen = np.zeros(work + 1, np.int64)
    tape = Tape(threads)
    for factor in (1, 2, 3):
        tape.add(count, work, grain, seen, factor)
    run = tape.finish()
    walkers = own_team(threads)
    for _ in range(50):
        seen[:] = 0
        walkers.run(run)
        assert (seen[:-1] == 10).all()
        assert seen[-1] == 0


def test_python_is_called_at_its_place(own_team):
    seen, found = np.zeros(4, np.int64), []
    tape = Tape(2)
    tape.call(lambda: found.append(seen.copy()))
    tape.add(count, 4, 1, seen, 2)
    tape.call(lambda: found.append(seen.copy()))
    tape.add(count, 4, 1, seen, 2)
    own_team(2).run(tape.finish())
    assert [each.tolist() for each in (*found, seen)] == [[0] * 4, [1] * 4, [3] * 4]


def test_threads_have_rooms_of_their_own(own_team):
    threads = np.zeros(500, np.int64)
    tape = Tape(3)
    tape.add(where, 500, 1, threads, tape.room(64), 64)
    own_team(3).run(tape.finish())
    assert threads.tolist() == list(range(500))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_joined_rows_are_all_done_once(threads, own_team):
    """Before the rows after them, and in whatever order among themselves."""
    sizes = (1, 5, 1, 40)
    seen = [np.zeros(size, np.int64) for size in (*sizes, 50)]
    tape = Tape(threads)
    for k, size in enumerate(sizes):
        tape.add(count, size, 1, seen[k], 1)
        if k:
            tape.join()
    tape.add(count, 50, 1, seen[-1], 1)
    run = tape.finish()
    walkers = own_team(threads)
    for times in range(1, 50):
        walkers.run(run)
        assert all((each == times).all() for each in seen)


def test_small_rows_stay_apart():
    tape, seen = Tape(2), np.zeros(2, np.int64)
    for at in range(2):
        tape.add(count, 1, 1, seen[at:], 1)
    tape.join()
    assert [len(group) for group in tape._groups()] == [1, 1]


def test_each_thread_knows_where_its_next_weights_begin():
    """Those of the next rows that have any; after the last ones, of the first."""
    weights = [np.zeros(size, np.uint8) for size in (640, 640, 300)]
    tape, seen = Tape(2), np.zeros(64, np.int64)
    tape.add(count, 10, 1, seen, 1, weights=weights[0])
    tape.add(count, 10, 1, seen, 1, weights=weights[1])
    tape.join()
    tape.add(count, 4, 1, seen, 1)
    tape.add(count, 30, 3, seen, 1, weights=weights[2])
    groups = tape._groups()
    first, second, last = (each.ctypes.data for each in weights)
    assert tape._beginnings(groups[0]) == [first, second]
    assert tape._beginnings(groups[2]) == [last, last + 150]
    rows = tape.finish().table[: 4 * WORDS].reshape(4, WORDS)
    assert rows[0, -1] == rows[1, -1] == rows[2, -1] != rows[3, -1]


def test_a_profile_has_a_time_for_each_row_and_call(own_team):
    seen, others, tape = np.zeros(100, np.int64), np.zeros(100, np.int64), Tape(2)
    tape.add(count, 100, 1, seen, 1)
    tape.add(count, 100, 1, others, 1)
    tape.join()
    tape.call(lambda: time.sleep(0.01))
    tape.add(count, 1, 1, seen, 1)
    rows, calls = own_team(2).profile(tape.finish())
    assert len(rows) == 3
    assert rows[0] > 0
    assert np.isnan(rows[1])
    assert rows[2] > 0
    assert calls[0] >= 0.01
    assert seen.tolist() == [2] + [1] * 99
    assert others.tolist() == [1] * 100


def test_nothing_to_do_is_no_row(own_team):
    tape = Tape(2)
    tape.add(count, 0, 1, 0, 1)
    assert len(tape) == 0
    own_team(2).run(tape.finish())


def test_many_python_threads_take_turns(own_team):
    walkers = own_team(2)

    def work(wrong):
        seen = np.zeros(64, np.int64)
        tape = Tape(2)
        for _ in range(20):
            tape.add(count, 64, 1, seen, 1)
        run = tape.finish()
        for k in range(1, 30):
            walkers.run(run)
            if (seen != 20 * k).any():
                wrong.append(seen.copy())

    wrong: list[np.ndarray] = []
    threads = [threading.Thread(target=work, args=(wrong,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong


def test_an_idle_team_sleeps(own_team):
    walkers = own_team(3)
    seen, tape = np.zeros(64, np.int64), Tape(3)
    tape.add(count, 64, 1, seen, 1)
    run = tape.finish()
    for k in range(1, 4):
        walkers.run(run)
        ends = time.monotonic() + 30
        while not walkers.is_idle and time.monotonic() < ends:
            time.sleep(0.01)
        assert walkers.is_idle
        assert (seen == k).all()
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1


def test_a_team_that_was_stopped_begins_again(own_team):
    walkers = own_team(2)
    seen, tape = np.zeros(8, np.int64), Tape(2)
    tape.add(count, 8, 1, seen, 1)
    run = tape.finish()
    before = set(threading.enumerate())
    walkers.run(run)
    (helper,) = set(threading.enumerate()) - before
    walkers.stop()
    assert not helper.is_alive()
    walkers.run(run)
    assert (seen == 2).all()


FORKED = """
import os, sys
import numpy as np
from llamapy import backends, ops
from llamapy.tensor import Tensor
cpu = backends.get("cpu", threads=2)
x = Tensor.of(np.ones((64, 1000)), cpu)
want = ops.softmax(x).numpy()
child = os.fork()
got = ops.softmax(x).numpy()
same = np.array_equal(got, want)
if child == 0:
    os._exit(0 if same else 1)
assert same
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own():
    done = subprocess.run([sys.executable, "-c", FORKED], timeout=60, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


# ---- compiled plans


def forward(backend):
    """Two layers' worth of operations on an input that may be refilled, one without a kernel."""
    rng = np.random.default_rng(1)
    quant = get("Q4_0")

    def weights(rows, columns):
        raw = quant.quantize(rng.standard_normal((rows, columns), np.float32))
        return Tensor.packed(raw, (rows, columns), quant, backend)

    x = Tensor.of(rng.standard_normal((3, 64), np.float32), backend)
    q, k, up, down = weights(64, 64), weights(64, 64), weights(96, 64), weights(64, 96)

    def run():
        y = x
        for _ in range(2):
            z = ops.rms_norm(y, None, eps=1e-5)
            y = ops.add(y, ops.mul(ops.matmul(z, q), ops.matmul(z, k)))
            z = ops.group_norm(y, None, None, groups=2, eps=1e-5)
            y = ops.add(y, ops.matmul(ops.silu(ops.matmul(z, up)), down))
        return y

    return x, run


@pytest.mark.parametrize("precision", [None, "float32"])
@pytest.mark.parametrize("poisoned", [False, True])
def test_a_compiled_plan_gives_the_same_bits(precision, poisoned):
    backend = backends.get("cpu", threads=2, precision=precision)
    x, run = forward(backend)
    plan = record(run, arena=PoisonedArena() if poisoned else None)
    compiled = backend.compile(plan)
    for seed in range(3):
        backend.write(x.buffer, np.random.default_rng(seed).standard_normal((3, 64), np.float32))
        want = run().numpy().copy()
        compiled()
        assert np.array_equal(plan.output.numpy(), want)
        backend.write(plan.output.buffer, np.zeros((3, 64), np.float32))
        plan.replay()
        assert np.array_equal(plan.output.numpy(), want)


def test_activations_are_rounded_once_for_all_their_users():
    backend = backends.get("cpu", threads=1)
    x, _ = forward(backend)
    quant = get("Q4_0")
    w = Tensor.packed(quant.quantize(np.ones((16, 64), np.float32)), (16, 64), quant, backend)

    def kernels(function):
        return backend.compile(record(function)).tape.n_rows

    assert kernels(lambda: (ops.matmul(x, w), ops.matmul(x, w))) == 3
    # what is written to is rounded again
    slots = Tensor.of(np.arange(3), backend)

    def changed():
        first = ops.matmul(x, w)
        ops.store(x.view(3, 1, 64), x.view(3, 1, 64), slots)
        return first, ops.matmul(x, w)

    assert kernels(changed) == 5


def test_products_of_the_same_input_are_joined():
    """But not those that one of them is made of, nor what reads or writes over another."""
    backend = backends.get("cpu", threads=2)
    quant = get("Q4_0")
    raw = quant.quantize(np.ones((512, 512), np.float32))
    w = Tensor.packed(raw, (512, 512), quant, backend)
    y = Tensor.of(np.ones((1, 512)), backend)

    def groups(function):
        return [each[4:7].tolist() for each in rows_of(backend.compile(record(function)))]

    def rows_of(compiled):
        return compiled.tape.table[: WORDS * compiled.tape.n_rows].reshape(-1, WORDS)

    together = groups(lambda: (ops.matmul(y, w), ops.matmul(y, w)))
    assert [joined for _, _, joined in together] == [1, 2, 1]
    pieces = together[1][0]
    assert together[1][1] == 2 * pieces > 2
    apart = groups(lambda: ops.matmul(ops.matmul(y, w), w))
    assert [joined for _, _, joined in apart] == [1, 1, 1, 1]


def test_a_compiled_plan_is_profiled_as_it_runs():
    backend = backends.get("cpu", threads=2)
    _, run = forward(backend)
    plan = record(run)
    plan.run = backend.compile(plan)
    profile = plan.profile(3)
    assert profile.by(lambda launch: launch.op)["group_norm"][1] > 0
    assert all(launch.seconds is not None for launch in plan.launches)
    assert profile.seconds > 0


def test_a_shared_team_is_one():
    assert team(2) is team(2)
    assert backends.get("cpu", threads=2).team is team(2)
