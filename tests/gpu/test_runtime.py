"""Memory, rows, and what goes wrong."""

from __future__ import annotations

import numpy as np
import pytest

import llamapy
from llamapy import backends, ops
from llamapy.backends.gpu.memory import Pool, rounded
from llamapy.backends.gpu.runtime import runs
from llamapy.backends.gpu.source import Program
from llamapy.errors import DeviceUnavailable, MemoryPlanError, UnsupportedError
from llamapy.quants import get
from llamapy.tensor import FLOAT32, Tensor


def test_rows_are_read_and_written(gpu):
    array = np.arange(40, dtype=np.float32).reshape(10, 4)
    buffer = gpu.put(array, FLOAT32)
    rows = np.array([7, 2, 3, 9])
    np.testing.assert_array_equal(gpu.get(buffer, rows), array[rows])
    gpu.write(buffer, -array[rows], rows)
    array[rows] *= -1
    np.testing.assert_array_equal(gpu.get(buffer), array)


def test_rows_of_blocks_are_bytes(gpu):
    quant = get("Q8_0")
    raw = quant.quantize(np.random.default_rng(0).standard_normal((5, 64), np.float32))
    buffer = gpu.put(raw, quant)
    assert buffer.shape == (5, 64)
    np.testing.assert_array_equal(gpu.get(buffer), raw)
    gpu.write(buffer, raw[:2], np.array([3, 1]))
    np.testing.assert_array_equal(gpu.get(buffer, np.array([1, 3])), raw[[1, 0]])


def test_rows_that_follow_each_other_go_together():
    assert list(runs(np.array([4, 5, 6, 2, 9, 10]))) == [(0, 3), (3, 4), (4, 6)]
    assert list(runs(np.array([], int))) == []


def test_little_memory_is_lost():
    for n in (1, 300, 5000, 1 << 20, (1 << 30) + 1):
        assert n <= rounded(n) <= max(256, 1.13 * n + 256)


class Small:
    """A device with room for 4096 bytes."""

    def __init__(self):
        self.used = 0

    def has_room(self, n_bytes):
        return n_bytes <= 4096

    def allocate(self, n_bytes, in_use):
        if self.used + n_bytes > 4096:
            raise MemoryPlanError("no room")
        self.used += n_bytes
        return n_bytes

    def release(self, memory):
        self.used -= memory


def test_memory_is_used_again_and_given_back():
    device = Small()
    pool = Pool(device)
    kept, other = pool.take(1024), pool.take(2048)
    del other
    assert device.used == 3072
    again = pool.take(2048)
    assert device.used == 3072
    del again
    large = pool.take(3072)  # only without the one that is kept for others
    assert device.used == 4096
    with pytest.raises(MemoryPlanError):
        pool.take(4096)
    del large
    pool.scratch(100)
    assert device.used == pool.n_bytes == 1024 + 256  # what was kept for others made room
    del kept
    assert device.used == pool.n_bytes == 0


def test_no_room_is_said(gpu):
    with pytest.raises(MemoryPlanError, match="n_ctx"):
        gpu.device.allocate(1 << 60, 0)


def test_a_program_that_does_not_build_shows_what_the_compiler_says(gpu, monkeypatch):
    monkeypatch.setattr(
        "llamapy.backends.gpu.source.text", lambda program, dialect: "constant nonsense;"
    )
    with pytest.raises(DeviceUnavailable, match=r"compiler says(.|\n)*error"):
        gpu.device.build(Program("norm", lanes=32), "rms_norm")


def test_a_device_that_is_not_there():
    with pytest.raises(DeviceUnavailable, match="counted from 0"):
        backends.get("opencl", index=99)
    for name in ("cuda", "rocm"):
        problem = backends._problem(name)
        if problem:
            with pytest.raises(DeviceUnavailable, match=r"pip install|driver"):
                backends.get(name)


def test_options_that_mean_nothing_are_refused():
    with pytest.raises(UnsupportedError, match="threads"):
        llamapy.backends.get("opencl", threads=2)
    with pytest.raises(UnsupportedError, match="precision"):
        llamapy.backends.get("opencl", precision="int4")


def test_a_kernel_of_missing_operands(gpu):
    x = np.random.default_rng(1).standard_normal((3, 8), np.float32)
    got = ops.layer_norm(Tensor.of(x, gpu), None, None, eps=1e-5).numpy()
    want = ops.layer_norm.definition(x, None, None, eps=1e-5)
    np.testing.assert_allclose(got, want, atol=1e-6)
