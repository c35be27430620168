"""A device that speaks CUDA or ROCm, through CuPy: one stream, and plans that become graphs.

CuPy compiles with NVRTC on CUDA and with HIPRTC on ROCm, and has the same names for both.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ...errors import DeviceUnavailable
from . import cublas, source
from .ahead import LARGEST, Ahead
from .device import Call, does_not_build, failed, out_of_memory
from .source import Program

NOTHING = np.uintp(0)  # the address of an operand that is missing


def module() -> Any:
    """CuPy, which warns of much that does not concern us when it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("cupy")


def problem(name: str = "cuda") -> str:
    """Why there is no device; empty if there is one."""
    package = {"cuda": "llamapy[cuda12]", "rocm": "llamapy[rocm]"}[name]
    try:
        cupy = module()
    except ImportError as error:
        return f"CuPy cannot be imported ({error}); pip install {package!r} gets it"
    made_for = "rocm" if cupy.cuda.runtime.is_hip else "cuda"
    if made_for != name:
        return f"the CuPy that is installed is made for {made_for}; pip install {package!r}"
    try:
        there = count()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"the driver says {error}; install or update it"
    return _lacking(cupy) if there else f"this machine has no device for {name}"


def _lacking(cupy: Any) -> str:
    """What CuPy cannot find of the maker's toolkit, which its package alone does not have."""
    try:
        cupy.cuda.nvrtc.getVersion()
        _ = cupy.cuda.cublas
    except Exception as error:  # ImportError, or of the package that looks for libraries
        says = str(error).strip().partition("\n")[0]
        return (
            f"CuPy does not find a library of the toolkit ({says}); install the toolkit, for CUDA "
            f"with pip install 'cupy-cuda12x[ctk]', or cupy-cuda13x"
        )
    return ""


def count() -> int:
    """How many devices there are."""
    return int(module().cuda.runtime.getDeviceCount())


def found(name: str = "cuda") -> list[str]:
    """What the devices call themselves, in the order of their numbers."""
    runtime = module().cuda.runtime
    names = (runtime.getDeviceProperties(n)["name"].decode() for n in range(count()))
    return [f"{name}:{n} {says}" for n, says in enumerate(names)]


class CUDA:
    """See `device.Device`."""

    def __init__(self, name: str = "cuda", index: int = 0) -> None:
        cupy = module()
        self.name, self.index, self._cupy = name, index, cupy
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
        # a graph that is captured shall have nobody else's launches
        self._lock = threading.RLock()
        self._ahead = Ahead()

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
        with self._lock, self._device:
            self._runtime.memsetAsync(int(memory), 0, n_bytes, self._stream.ptr)

    def upload(self, memory: Any, array: Any, offset: int) -> None:
        target, kind = int(memory) + offset, self._runtime.memcpyHostToDevice
        if array.nbytes > LARGEST:
            self._copy(target, array.ctypes.data, array.nbytes, kind)
            self.sync()
            return
        with self._failing("copy memory"), self._device:
            # the device reads only memory that is pinned while the host goes on
            aside = self._cupy.cuda.alloc_pinned_memory(array.nbytes)
            np.frombuffer(aside, np.uint8, array.nbytes)[:] = array.reshape(-1).view(np.uint8)
            event = self._cupy.cuda.Event(disable_timing=True)

            def wait(aside: Any = aside) -> None:
                event.synchronize()

            with self._lock:
                self._ahead.add(wait, array.nbytes)
                self._copy(target, aside.ptr, array.nbytes, kind)
                event.record(self._stream)

    def download(self, memory: Any, array: Any, offset: int) -> None:
        kind = self._runtime.memcpyDeviceToHost
        self._copy(array.ctypes.data, int(memory) + offset, array.nbytes, kind)
        self.sync()

    def _copy(self, target: int, origin: int, n_bytes: int, kind: int) -> None:
        with self._failing("copy memory"), self._lock, self._device:
            self._runtime.memcpyAsync(target, origin, n_bytes, kind, self._stream.ptr)

    @contextlib.contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """The driver's errors are ours."""
        try:
            yield
        except self._runtime.CUDARuntimeError as error:
            raise failed(what, self.says, error) from error

    # ---- kernels

    def build(self, program: Program, kernel: str) -> Any:
        with self._lock, self._device:
            if program not in self._modules:
                code = source.text(program, "cuda")
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
            with self._lock, self._device:
                call.kernel((call.groups,), (call.lanes,), args, stream=self._stream)
        except Exception as error:  # of the driver or of the runtime
            raise failed(f"run {call.kernel.name}", self.says, error) from error

    def prepare(self, calls: Sequence[Call]) -> Callable[[], object]:
        """A graph: the device launches the kernels itself."""
        with self._lock, self._device, self._stream, self._failing("capture a plan"):
            self._stream.begin_capture()
            try:
                for call in calls:
                    self.launch(call)
            except BaseException:
                with contextlib.suppress(Exception):  # the first error says more
                    self._stream.end_capture()
                raise
            graph = self._stream.end_capture()

        def run() -> None:
            with self._failing("run a plan"), self._lock, self._device:
                graph.launch(self._stream)

        return run

    def sync(self) -> None:
        with self._lock:
            n_added = self._ahead.n_added
        with self._failing("finish its work"):
            self._stream.synchronize()
        self._ahead.done(n_added)
