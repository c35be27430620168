"""A device that speaks OpenCL, through PyOpenCL: one context, and one queue in order."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import DeviceUnavailable
from . import source
from .ahead import LARGEST, Ahead
from .device import Call, does_not_build, failed, out_of_memory
from .source import Program

OPTIONS = ["-cl-std=CL1.2"]


def module() -> Any:
    """PyOpenCL; what PoCL compiles is kept beside our own kernels."""
    import pyopencl

    if "POCL_CACHE_DIR" not in os.environ:
        from ...jit import cache_root  # which needs Numba

        os.environ["POCL_CACHE_DIR"] = str(cache_root() / "pocl")

    return pyopencl


def devices() -> list[Any]:
    """All devices of this machine, graphics processors first."""
    cl = module()
    found = [device for platform in cl.get_platforms() for device in platform.get_devices()]
    return sorted(found, key=lambda device: not device.type & cl.device_type.GPU)


def problem() -> str:
    """Why there is no device; empty if there is one."""
    try:
        return "" if devices() else "OpenCL has no devices on this machine"
    except ImportError as error:
        return (
            f"{error.name or 'PyOpenCL'} cannot be imported ({error}); "
            f"pip install llamapy[opencl] gets it"
        )
    except Exception as error:  # what a driver may raise is not known
        return f"OpenCL has no platform that works ({error}); install the device's driver"


def found() -> list[str]:
    """What the devices call themselves, in the order of their numbers."""
    return [f"opencl:{n} {device.name.strip()}" for n, device in enumerate(devices())]


def problem_of_auto() -> str:
    """Why no device is taken unless it is asked for; empty if there is a graphics processor."""
    if why := problem():
        return why
    first = devices()[0]
    if first.type & module().device_type.GPU:
        return ""
    return f"{first.name.strip()} is no graphics processor"


class OpenCL:
    """See `device.Device`."""

    name = "opencl"
    library = None

    def __init__(self, index: int = 0) -> None:
        found = devices()
        if not 0 <= index < len(found):
            raise DeviceUnavailable(
                f"there is no OpenCL device {index}: this machine has {len(found)}, counted from 0"
            )
        self._cl = cl = module()
        self.index, self._device = index, found[index]
        device = self._device
        self.shares_memory = bool(device.host_unified_memory)
        self.says = f"{device.name} ({device.platform.name})"
        self._context = cl.Context([device])
        self._queue = cl.CommandQueue(self._context)
        self._programs: dict[Program, Any] = {}
        self._lock = threading.RLock()  # a kernel's arguments are a state that it keeps
        self._ahead = Ahead()

    # ---- memory

    def allocate(self, n_bytes: int, in_use: int) -> Any:
        try:
            memory = self._cl.Buffer(self._context, self._cl.mem_flags.READ_WRITE, n_bytes)
            self.clear(memory, 1)  # drivers allocate when memory is first used: it shall fail here
        except (self._cl.Error, MemoryError) as error:
            raise out_of_memory(n_bytes, in_use, self.says, error) from error
        return memory

    def release(self, memory: Any) -> None:
        memory.release()

    def has_room(self, n_bytes: int) -> bool:
        return n_bytes <= self._device.global_mem_size

    def free_bytes(self, in_use: int) -> int:
        """OpenCL does not say what others use."""
        return max(0, self._device.global_mem_size - in_use)

    def clear(self, memory: Any, n_bytes: int) -> None:
        self._cl.enqueue_fill_buffer(self._queue, memory, np.uint8(0), 0, n_bytes)

    def upload(self, memory: Any, array: Any, offset: int) -> None:
        if array.nbytes > LARGEST:
            self._copy(memory, array, dst_offset=offset)
            return
        aside = array.copy()  # which the event keeps
        event = self._copy(memory, aside, dst_offset=offset, is_blocking=False)
        try:
            self._ahead.add(event.wait, array.nbytes)
            self._queue.flush()  # what was launched so far begins
        except self._cl.Error as error:
            raise failed("copy memory", self.says, error) from error

    def download(self, memory: Any, array: Any, offset: int) -> None:
        n_added = self._ahead.n_added
        self._copy(array, memory, src_offset=offset)
        self._ahead.done(n_added)

    def _copy(self, target: Any, origin: Any, is_blocking: bool = True, **offset: int) -> Any:
        try:
            return self._cl.enqueue_copy(
                self._queue, target, origin, is_blocking=is_blocking, **offset
            )
        except self._cl.Error as error:
            raise failed("copy memory", self.says, error) from error

    # ---- kernels

    def build(self, program: Program, kernel: str) -> Any:
        with self._lock:
            if program not in self._programs:
                self._programs[program] = self._compiled(program)
            return self._cl.Kernel(self._programs[program], kernel)

    def _compiled(self, program: Program) -> Any:
        made = self._cl.Program(self._context, source.text(program, "opencl"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # compilers have much to say
                return made.build(OPTIONS, cache_dir=False)
        except self._cl.Error as error:
            raise does_not_build(program, self.says, str(error)) from error

    def launch(self, call: Call) -> None:
        with self._lock:
            self._set(call.kernel, call)
            self._enqueue(call.kernel, call.groups * call.lanes, call.lanes)

    def _set(self, kernel: Any, call: Call) -> None:
        kernel.set_args(*call.args)

    def _enqueue(self, kernel: Any, count: int, lanes: int) -> None:
        try:
            self._cl.enqueue_nd_range_kernel(self._queue, kernel, (count,), (lanes,))
        except self._cl.Error as error:
            raise failed(f"run {kernel.function_name}", self.says, error) from error

    def prepare(self, calls: Sequence[Call]) -> Callable[[], object]:
        """Kernels of their own, whose arguments are set once."""
        ready = []
        for call in calls:
            program = call.kernel.program
            kernel = self._cl.Kernel(program, call.kernel.function_name)
            self._set(kernel, call)
            ready.append((kernel, call.groups * call.lanes, call.lanes, call.args))

        def run() -> None:
            for kernel, count, lanes, _ in ready:
                self._enqueue(kernel, count, lanes)
            self._queue.flush()

        return run

    def sync(self) -> None:
        n_added = self._ahead.n_added
        try:
            self._queue.finish()
        except self._cl.Error as error:
            raise failed("finish its work", self.says, error) from error
        self._ahead.done(n_added)
