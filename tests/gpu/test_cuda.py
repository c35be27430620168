"""On CUDA and ROCm, where this machine has such a device: what PoCL proves, and what only it has.

None of the machines that these programs were written on had one.
"""

from __future__ import annotations

import gc

import numpy as np
import pytest

import llamapy
from llamapy import backends
from llamapy.backends.gpu import cuda
from llamapy.cache import Batch
from llamapy.errors import DeviceUnavailable, MemoryPlanError
from llamapy.tensor import FLOAT32
from llamapy.testing import check_backend, check_model, tiny_model
from llamapy.testing.model import Fixture, invented, nmse, results

from ..models.conftest import FOLDER
from ..models.test_cpu import EACH_OR_ALL, LIMIT, LIMITS
from ..models.test_golden import DEEP, LARGE_SCORES, LARGE_STATES

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3]
PROBLEMS = {name: cuda.problem(name) for name in ("cuda", "rocm")}
NAME = next((name for name, problem in PROBLEMS.items() if not problem), "cuda")

pytestmark = pytest.mark.skipif(
    all(PROBLEMS.values()), reason="; ".join(f"{n}: {why}" for n, why in PROBLEMS.items())
)


@pytest.fixture(scope="module")
def gpu():
    return backends.get(NAME)


@pytest.fixture(scope="module")
def exact():
    return backends.get(NAME, precision="float32")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("cuda") / "model.gguf", layers=4)


def test_every_operation(exact):
    check_backend(exact)


@pytest.mark.parametrize("name", EACH_OR_ALL)
def test_logits_and_all_ways_of_computing(name, exact):
    fixture = Fixture.read(FOLDER / f"{name}.json")
    architecture = fixture.metadata["general.architecture"]
    model = fixture.model(exact)
    got = results(model, fixture.tokens)[fixture.positions]
    assert nmse(got, fixture.logits) <= LIMITS.get(architecture, LIMIT)
    loose = 1e-9 if architecture in (*LARGE_SCORES, *LARGE_STATES) else 1e-10
    check_model(model, fixture.tokens, tolerance=1e-7 if architecture in DEEP else loose)


def test_a_graph_replays_what_is_computed_eagerly(gpu):
    model = invented("llama", device=gpu)
    eager, recorded = model.cache(16), model.cache(16)
    for token in TOKENS:
        want = model.decoder(eager.begin(Batch.of([token]))).numpy()
        np.testing.assert_array_equal(model.run(recorded, Batch.of([token])), want)


def test_long_prompts_go_through_the_library(gpu, path):
    """Rounded to 16 bits, and no more."""
    tokens = [n % 200 for n in range(100)]
    with llamapy.load(path, device="numpy") as model:
        want = model.forward(tokens, logits="all").logits
    with llamapy.load(path, device=gpu) as model:
        assert gpu.device.library is not None
        assert nmse(model.forward(tokens, logits="all").logits, want) <= 1e-3


@pytest.mark.parametrize("n_gpu_layers", [0, 1, 3, 4, 5])
def test_some_layers(n_gpu_layers, path):
    options = {"precision": "float32", "kv_type": "f32"}
    with llamapy.load(path, device="numpy", **options) as model:
        want = results(model, TOKENS)
    with llamapy.load(path, device=NAME, n_gpu_layers=n_gpu_layers, **options) as model:
        np.testing.assert_allclose(results(model, TOKENS), want, rtol=0, atol=1e-3)
        check_model(model, TOKENS)


def test_two_devices_share_the_layers(path):
    """Two queues of one, where there is one."""
    second = min(1, cuda.count() - 1)
    options = {"precision": "float32", "kv_type": "f32"}
    with llamapy.load(path, device="numpy", **options) as model:
        want = results(model, TOKENS)
    device = f"{NAME}:0,{NAME}:{second}"
    with llamapy.load(path, device=device, split=(1, 1), **options) as model:
        assert len(model.backend.parts) == 2
        np.testing.assert_allclose(results(model, TOKENS), want, rtol=0, atol=1e-3)
        check_model(model, TOKENS)


def test_an_upload_does_not_wait(gpu):
    """The host computes its layers while the device has yet to finish others."""
    device, size = gpu.device, 1 << 28
    source, target = (gpu.empty((size // 4,), FLOAT32) for _ in range(2))
    buffer, values = gpu.empty((100,), FLOAT32), np.arange(100, dtype=np.float32)
    gpu.sync()
    for _ in range(50):
        copied = device._runtime.memcpyDeviceToDevice
        with device._device:
            device._runtime.memcpyAsync(
                int(target.handle), int(source.handle), size, copied, device._stream.ptr
            )
    gpu.write(buffer, values)
    values[:] = 0  # the array is free
    assert not device._stream.done
    np.testing.assert_array_equal(gpu.get(buffer), np.arange(100))


def test_only_the_likeliest_tokens_are_fetched(gpu, path):
    found = []
    with llamapy.load(path, device=gpu) as model:
        for is_far in (True, False):
            model.__dict__["_is_far"] = is_far
            found.append(model.generate(TOKENS, max_tokens=20, seed=3).tokens)
    assert found[0] == found[1]


def test_auto_takes_it(caplog):
    with caplog.at_level("INFO", "llamapy"):
        assert backends.get("auto").name == NAME
    assert f"device auto is {NAME}" in caplog.text


def test_what_is_not_there_is_said():
    with pytest.raises(DeviceUnavailable, match="counted from 0"):
        backends.get(f"{NAME}:99")
    other = "rocm" if NAME == "cuda" else "cuda"
    with pytest.raises(DeviceUnavailable, match="made for"):
        backends.get(other)


def test_no_room_is_said(gpu):
    with pytest.raises(MemoryPlanError, match="n_gpu_layers"):
        gpu.device.allocate(1 << 50, 0)


def test_memory_is_given_back(path):
    gpu = backends.get(NAME)
    gc.collect()
    for _ in range(2):  # libraries take some for themselves, once
        before = gpu.free_bytes()
        with llamapy.load(path, device=gpu) as model:
            model.forward(TOKENS)
        del model
        gc.collect()
        after = gpu.free_bytes()
    assert gpu.pool.n_bytes == 0
    assert before - after < 1 << 20
