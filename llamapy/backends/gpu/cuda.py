"""A device that speaks CUDA or ROCm, through CuPy: one stream, and plans that become graphs.

CuPy compiles with NVRTC on CUDA and with HIPRTC on ROCm, and has the same names for both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import DeviceUnavailable
from . import cublas, source
from .device import Call, does_not_build, failed, out_of_memory
from .source import Program

NOTHING = np.uintp(0)  # the address of an operand that is missing


def problem(name: str = "cuda") -> str:
    """Why there is no device; empty if there is one."""
    package = {"cuda": "llamapy[cuda12]", "rocm": "llamapy[rocm]"}[name]
    try:
        import cupy
    except ImportError as error:
        return f"CuPy cannot be imported ({error}); pip install {package!r} gets it"
    made_for = "rocm" if cupy.cuda.runtime.is_hip else "cuda"
    if made_for != name:
        return f"the CuPy that is installed is made for {made_for}; pip install {package!r}"
    try:
        there = count()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"the driver says {error}; install or update it"
    return "" if there else f"this machine has no device for {name}"


def count() -> int:
    """How many devices there are."""
    import cupy

    return int(cupy.cuda.runtime.getDeviceCount())


def found(name: str = "cuda") -> list[str]:
    """What the devices call themselves, in the order of their numbers."""
    import cupy

    names = (cupy.cuda.runtime.getDeviceProperties(n)["name"].decode() for n in range(count()))
    return [f"{name}:{n} {says}" for n, says in enumerate(names)]


class CUDA:
    """See `device.Device`."""

    def __init__(self, name: str = "cuda", index: int = 0) -> None:
        import cupy

        self.name, self.index, self._cupy = name, index, cupy
        self._dialect = "hip" if name == "rocm" else "cuda"
        self._runtime = cupy.cuda.runtime
        if not 0 <= index < (there := count()):
            raise DeviceUnavailable(
                f"there is no device {name}:{index}: this machine has {there}, counted from 0"
            )
        self._device = cupy.cuda.Device(index)
        with self._device:
            self._stream = cupy.cuda.Stream(non_blocking=True)
        properties = self._runtime.getDeviceProperties(index)
        self.says = f"{properties['name'].decode()} ({name}:{index})"
        self.shares_memory = bool(properties["integrated"])
        self.library = cublas.Library(cupy, self._device, name)
        self._modules: dict[Program, Any] = {}
        self._lock = threading.RLock()

    # ---- memory

    def allocate(self, n_bytes: int, in_use: int) -> Any:
        try:
            with self._device:
                # the address, kept as the number that kernels take
                return np.uintp(self._runtime.malloc(n_bytes))
        except self._runtime.CUDARuntimeError as error:
            raise out_of_memory(n_bytes, in_use, self.says, error) from error

    def release(self, memory: Any) -> None:
        with self._device:
            self._runtime.free(int(memory))

    def has_room(self, n_bytes: int) -> bool:
        with self._device:
            return n_bytes <= self._runtime.memGetInfo()[1]

    def free_bytes(self, in_use: int) -> int:
        with self._device:
            return int(self._runtime.memGetInfo()[0])

    def clear(self, memory: Any, n_bytes: int) -> None:
        with self._device:
            self._runtime.memsetAsync(int(memory), 0, n_bytes, self._stream.ptr)

    def upload(self, memory: Any, array: Any, offset: int) -> None:
        self._copy(int(memory) + offset, array.ctypes.data, array.nbytes, "Host", "Device")

    def download(self, memory: Any, array: Any, offset: int) -> None:
        self._copy(array.ctypes.data, int(memory) + offset, array.nbytes, "Device", "Host")

    def _copy(self, target: int, origin: int, n_bytes: int, start: str, end: str) -> None:
        kind = getattr(self._runtime, f"memcpy{start}To{end}")
        try:
            with self._device:
                self._runtime.memcpyAsync(target, origin, n_bytes, kind, self._stream.ptr)
                self._stream.synchronize()
        except self._runtime.CUDARuntimeError as error:
            raise failed("copy memory", self.says, error) from error

    # ---- kernels

    def build(self, program: Program, kernel: str) -> Any:
        with self._lock, self._device:
            if program not in self._modules:
                code = source.text(program, self._dialect)
                module = self._cupy.RawModule(code=code, backend="nvrtc")
                try:
                    module.compile()
                except Exception as error:  # CuPy has several, for compilers of several kinds
                    raise does_not_build(program, self.says, str(error)) from error
                self._modules[program] = module
            return self._modules[program].get_function(kernel)

    def launch(self, call: Call) -> None:
        args = tuple([NOTHING if arg is None else arg for arg in call.args])
        try:
            with self._device:
                call.kernel((call.groups,), (call.lanes,), args, stream=self._stream)
        except Exception as error:  # of the driver or of the runtime
            raise failed(f"run {call.kernel.name}", self.says, error) from error

    def prepare(self, calls: Sequence[Call]) -> Callable[[], object]:
        """A graph: the device launches the kernels itself."""
        with self._lock, self._device, self._stream:
            self._stream.begin_capture()
            try:
                for call in calls:
                    self.launch(call)
            finally:
                graph = self._stream.end_capture()

        def run() -> None:
            try:
                with self._device:
                    graph.launch(self._stream)
            except self._runtime.CUDARuntimeError as error:
                raise failed("run a plan", self.says, error) from error

        return run

    def sync(self) -> None:
        try:
            self._stream.synchronize()
        except self._runtime.CUDARuntimeError as error:
            raise failed("finish its work", self.says, error) from error
