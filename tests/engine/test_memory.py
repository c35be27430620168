"""What a model takes: planned before it is allocated, and compared with what it then takes."""

from __future__ import annotations

import gc
import os
import tracemalloc
import weakref

import numpy as np
import pytest

import llamapy
from llamapy.cache import Batch
from llamapy.engine import available
from llamapy.engine.available import available_bytes
from llamapy.engine.load import load, plan_memory
from llamapy.errors import LlamapyError, MemoryPlanError
from llamapy.testing import tiny_model
from llamapy.testing.model import invented

N_CTX, N_BATCH = 2048, 8


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """25 MB of weights, and a cache of 16 MB at 4096 tokens."""
    folder = tmp_path_factory.mktemp("memory")
    sizes = {"layers": 4, "embedding": 512, "heads": 4, "kv_heads": 4, "feed_forward": 1536}
    return tiny_model(folder / "model.gguf", context=N_CTX, **sizes)


@pytest.fixture(scope="module")
def quantized(path):
    small = path.with_name("q8_0.gguf")
    llamapy.quantize(path, small, "Q8_0")
    return small


def taken(path, device, **options):
    """Bytes of weights, a cache and steps in it until it is full, as Python counts them."""

    def run():
        with load(path, device=device, n_ctx=N_CTX, **options) as model:
            weights = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0
            cache = model.cache(n_batch=N_BATCH)
            for table in cache.tables.values():
                table.restore(0, range(N_CTX - N_BATCH - 1), 0)
            model.run(cache, Batch.of(list(range(N_BATCH))))
            model.run(cache, Batch.of([1]))
            return weights

    run()  # kernels are compiled, plans of shapes made
    found = []
    for _ in range(2):  # Python's own tables grow now and then, but not twice
        gc.collect()
        tracemalloc.start()
        try:
            weights = run()
            found.append((weights, tracemalloc.get_traced_memory()[1]))
        finally:
            tracemalloc.stop()
    return min(found, key=lambda each: each[1])


@pytest.mark.parametrize("kv_type", ["f32", "f16", "q8_0"])
@pytest.mark.parametrize("kind", ["path", "quantized"])
@pytest.mark.parametrize("device", ["numpy", "cpu"])
def test_a_plan_is_what_is_taken(request, monkeypatch, device, kind, kv_type):
    """To 3 %. On NumPy, weights stay in the file, whose pages the system lends."""
    if device == "numpy":  # idle threads that decode hold on to what they decoded last
        monkeypatch.setenv("LLAMAPY_THREADS", "1")
    path = request.getfixturevalue(kind)
    plan = plan_memory(path, device, n_ctx=N_CTX, n_batch=N_BATCH, kv_type=kv_type)
    weights, peak = taken(path, device, kv_type=kv_type)
    if device == "numpy":
        with llamapy.GGUF.open(path) as file:
            assert plan.weights == pytest.approx(sum(t.n_bytes for t in file.values()), rel=0.01)
        peak += plan.weights - weights
    assert plan.total == pytest.approx(peak, rel=0.03)


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "deepseek2", "t5", "bert"])
@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_a_cache_is_as_large_as_planned(architecture, kv_type):
    """Windows, latents, what was encoded, and encoders, that keep nothing."""
    from llamapy.engine.memory import cache_bytes

    sizes = {"context_length": 4096, "embedding_length": 128, "attention.key_length_mla": 64}
    model = invented(architecture, sizes)
    n_bytes = model.cache(kv_type=kv_type).n_bytes
    planned = cache_bytes(model, 4096, n_sequences=1, n_batch=512, kv_type=kv_type)
    assert planned == pytest.approx(n_bytes, rel=0.15 if n_bytes else 0)


def test_too_long_a_context_is_refused_before_anything_is_allocated(path, monkeypatch):
    monkeypatch.setattr("llamapy.engine.available.available_bytes", lambda: 32 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(MemoryPlanError) as refused:
            load(path, device="numpy", n_ctx=100_000)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    said = str(refused.value)
    assert "a context of 100000 tokens takes" in said
    assert "more than the 32.00 MiB that are free" in said
    largest = int(said.rpartition("n_ctx=")[2])
    assert largest % 32 == 0
    with load(path, device="numpy", n_ctx=largest) as model:
        assert model.n_ctx == largest
    with pytest.raises(MemoryPlanError):
        load(path, device="numpy", n_ctx=largest + 32)
    assert isinstance(refused.value, (LlamapyError, MemoryError))


def test_no_context_fits(path, monkeypatch):
    monkeypatch.setattr("llamapy.engine.available.available_bytes", lambda: 1 << 20)
    with pytest.raises(MemoryPlanError, match="no context fits, so free memory"):
        load(path, device="numpy")


def test_a_long_context_that_nobody_asked_for_is_no_reason(tmp_path, monkeypatch):
    """The model was trained with a million tokens; for 512 there is room."""
    path = tiny_model(tmp_path / "long.gguf", context=1 << 20)
    monkeypatch.setattr("llamapy.engine.available.available_bytes", lambda: 64 << 20)
    with load(path, device="numpy") as model:
        assert model.n_ctx == 1 << 20
        with pytest.raises(MemoryPlanError, match=r"a cache for 1048576 tokens .* is n_ctx=\d+"):
            model.cache()
        assert model.cache(1024).n_ctx == 1024


def test_what_the_system_does_not_say_refuses_nothing(path, monkeypatch):
    monkeypatch.setattr("llamapy.engine.available.available_bytes", lambda: None)
    plan = plan_memory(path, "numpy", n_ctx=10**6)
    assert plan.missing == 0
    assert "free: unknown" in str(plan)


def test_a_plan_is_made_in_a_moment(path):
    import time

    started = time.perf_counter()
    plan_memory(path, "numpy", n_ctx=N_CTX)
    assert time.perf_counter() - started < 1


# ---- what is free


def system(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MACHINE = {"proc/meminfo": "MemTotal:  9000 kB\nMemFree: 10 kB\nMemAvailable:  8000 kB\n"}
STAT = "anon 5\nactive_file 300\ninactive_file 100\n"


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        (MACHINE, 8000 * 1024),
        (  # cgroup v2: a group without a limit in one that has one; what is kept of files is free
            {
                **MACHINE,
                "proc/self/cgroup": "0::/outer/inner\n",
                "sys/fs/cgroup/outer/inner/memory.max": "max\n",
                "sys/fs/cgroup/outer/inner/memory.current": "9\n",
                "sys/fs/cgroup/outer/memory.max": "5000\n",
                "sys/fs/cgroup/outer/memory.current": "1000\n",
                "sys/fs/cgroup/outer/memory.stat": STAT,
            },
            5000 - 1000 + 400,
        ),
        (  # in a container, whose own group is mounted as the root
            {
                **MACHINE,
                "proc/self/cgroup": "0::/elsewhere/here\n",
                "sys/fs/cgroup/memory.max": "5000\n",
                "sys/fs/cgroup/memory.current": "6000\n",
                "sys/fs/cgroup/memory.stat": STAT,
            },
            0,
        ),
        (  # cgroup v1
            {
                **MACHINE,
                "proc/self/cgroup": "7:cpu,cpuacct:/a\n5:memory:/b\n",
                "sys/fs/cgroup/memory/b/memory.limit_in_bytes": "7000\n",
                "sys/fs/cgroup/memory/b/memory.usage_in_bytes": "2000\n",
                "sys/fs/cgroup/memory/b/memory.stat": STAT.replace("\n", "\ntotal_"),
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "2000\n",
            },
            5400,
        ),
        (  # a limit above what the machine has
            {
                **MACHINE,
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": "99999999999\n",
                "sys/fs/cgroup/memory.current": "1000\n",
            },
            8000 * 1024,
        ),
    ],
)
def test_what_is_free(tmp_path, files, free):
    assert available_bytes(system(tmp_path, files)) == free


def test_this_machine_says_something():
    free = available_bytes()
    assert free is None or 1 << 20 < free < 1 << 50
    assert os.sysconf("SC_PAGE_SIZE") < available.NO_LIMIT


# ---- memory comes back


@pytest.mark.parametrize("device", ["numpy", "cpu"])
def test_fifty_loads_leave_memory_where_it_was(path, device):
    """What Python counts, and what the process has.

    Python's table of names may grow at any time, by megabytes and once; a leak is in every stretch.
    """

    def cycle():
        with load(path, device=device, n_ctx=64) as model:
            cache = model.cache()
            model.run(cache, Batch.of(list(range(20))))
            return float(model.run(cache, Batch.of([1])).sum())

    sums = {cycle() for _ in range(3)}
    gc.collect()
    resident = _resident()
    tracemalloc.start()
    try:
        traced = []
        for _ in range(8):
            sums |= {cycle() for _ in range(6)}
            gc.collect()
            traced.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert len(sums) == 1
    assert np.median(np.diff(traced)) < 128 << 10
    if resident:
        assert _resident() - resident < 48 << 20  # one model would be as much, 50 are 25 times it


@pytest.mark.parametrize("device", ["numpy", "cpu"])
def test_a_model_and_its_cache_are_gone_with_the_last_who_has_them(path, device):
    """Nothing refers to itself, and so nothing waits for garbage to be collected."""
    gc.collect()
    gc.disable()
    try:
        with load(path, device=device, n_ctx=64) as model:
            cache = model.cache()
            plan = model.plan(cache, Batch.of([1, 2]))
            gone = [weakref.ref(each) for each in (cache, plan, model.decoder)]
        del cache, plan, model
        assert [each() for each in gone] == [None] * 3
    finally:
        gc.enable()


def _resident():
    """The bytes that this process has in memory, where the system says it."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
