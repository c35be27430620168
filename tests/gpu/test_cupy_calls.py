"""What is asked of CuPy, in a stand-in that queues as a device does: copies are made at the end."""

from __future__ import annotations

import ctypes
import gc
import weakref
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from llamapy.backends.gpu import ahead, cuda
from llamapy.backends.gpu.device import Call
from llamapy.backends.gpu.source import Program
from llamapy.errors import DeviceUnavailable, MemoryPlanError


class CUDARuntimeError(RuntimeError):
    pass


class Stream:
    """What was asked for, until somebody waits."""

    def __init__(self, *, non_blocking):
        assert non_blocking
        self.ptr, self.queue, self.captured = id(self), [], None
        self.n_done = self.n_waits = 0
        Stream.last = self

    def put(self, work):
        (self.queue if self.captured is None else self.captured).append(work)

    def do(self, n):
        """All up to the n-th."""
        while self.n_done < n:
            self.queue[self.n_done]()
            self.n_done += 1

    def synchronize(self):
        self.n_waits += 1
        self.do(len(self.queue))

    def begin_capture(self):
        assert self.captured is None
        self.captured = []

    def end_capture(self):
        works, self.captured = self.captured, None

        def launch(stream):
            for work in works:
                stream.put(work)

        return SimpleNamespace(launch=launch)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Event:
    def __init__(self, *, disable_timing):
        assert disable_timing
        self._stream, self.n_before = None, 0

    def record(self, stream):
        self._stream, self.n_before = stream, len(stream.queue)

    def synchronize(self):
        self._stream.do(self.n_before)


class Pinned(np.ndarray):
    """Memory that is spoiled as soon as nobody has it."""

    kept: ClassVar = []

    def __new__(cls, n_bytes):
        memory = np.zeros(n_bytes, np.uint8)
        cls.kept.append(memory)
        pinned = memory.view(cls)
        weakref.finalize(pinned, memory.fill, 255)
        return pinned

    @property
    def ptr(self):
        return self.ctypes.data


class Runtime:
    CUDARuntimeError = CUDARuntimeError
    memcpyHostToDevice, memcpyDeviceToHost, is_hip = 1, 2, False

    def __init__(self):
        self.memory, self.room, self.is_lost = {}, 1 << 30, False

    def getDeviceCount(self):
        return 1

    def getDeviceProperties(self, index):
        return {"name": b"Stand-in", "integrated": 0}

    def memGetInfo(self):
        return self.room, self.room

    def malloc(self, n_bytes):
        if n_bytes > self.room:
            raise CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")
        array = np.zeros(n_bytes, np.uint8)
        self.memory[array.ctypes.data] = array
        return array.ctypes.data

    def free(self, address):
        del self.memory[address]

    def memcpyAsync(self, target, origin, n_bytes, kind, stream):
        if self.is_lost:
            raise CUDARuntimeError("cudaErrorIllegalAddress")
        Stream.last.put(lambda: ctypes.memmove(target, origin, n_bytes))

    def memsetAsync(self, address, value, n_bytes, stream):
        Stream.last.put(lambda: ctypes.memset(address, value, n_bytes))


class Kernel:
    def __init__(self, name):
        self.name, self.launched = name, []

    def __call__(self, grid, block, args, *, stream):
        if self.name == "broken":
            raise RuntimeError("CUDA_ERROR_LAUNCH_FAILED")
        stream.put(lambda: self.launched.append((grid, block, args)))


class RawModule:
    def __init__(self, *, code, backend):
        assert "KERNEL" in code
        assert backend == "nvrtc"

    def compile(self):
        pass

    def get_function(self, name):
        return Kernel(name)


class Device:
    compute_capability = "90"

    def __init__(self, index):
        assert index == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def runtime():
    return Runtime()


@pytest.fixture
def device(runtime, monkeypatch):
    nvrtc = SimpleNamespace(getVersion=lambda: (12, 9))
    handles = []
    library = SimpleNamespace(
        handles=handles, create=lambda: handles.append(7) or 7, destroy=handles.remove
    )
    cupy = SimpleNamespace(
        RawModule=RawModule,
        cuda=SimpleNamespace(
            runtime=runtime,
            nvrtc=nvrtc,
            cublas=library,
            Device=Device,
            Stream=Stream,
            Event=Event,
            alloc_pinned_memory=Pinned,
        ),
    )
    monkeypatch.setattr(cuda, "module", lambda: cupy)
    assert cuda.problem() == ""
    assert cuda.found() == ["cuda:0 Stand-in"]
    return cuda.CUDA()


def read(device, memory, n, offset=0):
    array = np.empty(n, np.float32)
    device.download(memory, array, offset)
    return array


def test_an_upload_does_not_wait_and_leaves_its_array_free(device):
    memory = device.allocate(400, 0)
    for first in (0, 20, 40):
        values = np.arange(first, first + 10, dtype=np.float32)
        device.upload(memory, values, 4 * first)
        values[:] = -1
        del values
        gc.collect()
    assert device._stream.n_waits == 0
    assert len(device._ahead) == 3
    np.testing.assert_array_equal(read(device, memory, 10, 80), np.arange(20, 30))
    assert device._stream.n_waits == 1
    assert len(device._ahead) == 0


def test_too_many_copies_wait_for_the_first(device, monkeypatch):
    monkeypatch.setattr(ahead, "COPIES", 2)
    memory = device.allocate(64, 0)
    for number in range(5):
        device.upload(memory, np.full(2, number, np.float32), 8 * number)
    assert len(device._ahead) == 2
    assert device._stream.n_done == 3
    np.testing.assert_array_equal(read(device, memory, 10), np.repeat(np.arange(5), 2))


def test_a_large_array_is_not_copied_aside(device, monkeypatch):
    monkeypatch.setattr(cuda, "LARGEST", 16)
    memory = device.allocate(64, 0)
    device.upload(memory, np.ones(8, np.float32), 0)
    assert device._stream.n_waits == 1
    assert not len(device._ahead)


def test_a_plan_is_captured_once_and_launched_as_often_as_wanted(device):
    kernel = device.build(Program("norm"), "rms_norm")
    call = Call(kernel, 3, 64, [device.allocate(16, 0), np.int32(4), None])
    run = device.prepare([call, call])
    device.sync()
    assert not kernel.launched
    run()
    run()
    device.sync()
    assert len(kernel.launched) == 4
    assert kernel.launched[0] == ((3,), (64,), (call.args[0], np.int32(4), cuda.NOTHING))


def test_what_fails_while_it_is_captured_is_said(device):
    broken = device.build(Program("norm"), "broken")
    with pytest.raises(DeviceUnavailable, match="failed to run broken"):
        device.prepare([Call(broken, 1, 64, [])])
    assert device._stream.captured is None


def test_errors_are_ours(device, runtime):
    memory = device.allocate(64, 0)
    with pytest.raises(MemoryPlanError, match="n_gpu_layers"):
        device.allocate(1 << 40, 64)
    runtime.is_lost = True
    with pytest.raises(DeviceUnavailable, match="failed to copy"):
        device.upload(memory, np.ones(8, np.float32), 0)
    with pytest.raises(DeviceUnavailable, match="failed to copy"):
        read(device, memory, 8)


def test_what_is_taken_is_given_back(device, runtime):
    memory = device.allocate(64, 0)
    device.clear(memory, 64)
    device.release(memory)
    assert not runtime.memory
    handles = device.library._cublas.handles
    assert handles == [7]
    device.library = None
    gc.collect()
    assert handles == []


def test_a_toolkit_that_is_missing_is_said(device, monkeypatch):
    def missing():
        raise ImportError("libnvrtc.so.12: cannot open shared object file")

    monkeypatch.setattr(cuda.module().cuda.nvrtc, "getVersion", missing)
    assert "libnvrtc" in cuda.problem()
    assert "[ctk]" in cuda.problem()
