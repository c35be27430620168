"""The backend that all graphics processors share: memory, kernels by name, and compiled plans."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from . import (
    attention,
    candidates,
    cells,
    columns,
    experts,
    matmul,
    moe,
    positions,
    recurrent,
    signed,
)
from .device import Call, Device
from .memory import Buffer, Pool, n_bytes_of
from .source import Program

if TYPE_CHECKING:
    from ...plan import Plan
    from ...tensor import DType

# what computes operations: each has KERNELS, by name, and PROGRAMS that show what its kernels are
FAMILIES = (
    signed,
    matmul,
    experts,
    moe,
    cells,
    attention,
    candidates,
    columns,
    positions,
    recurrent,
)

# from a backend, a result and operands to what computes it
Lower: TypeAlias = Callable[..., Iterator[Call]]


class Routine:
    """An operation here: `calls` are the launches that compute it."""

    def __init__(self, gpu: GPU, lower: Lower) -> None:
        self._gpu, self._lower = gpu, lower

    def calls(self, out: Any, *buffers: Any, **params: Any) -> list[Call]:
        return [call for call in self._lower(self._gpu, out, *buffers, **params) if call.groups]

    def __call__(self, out: Any, *buffers: Any, **params: Any) -> None:
        for call in self.calls(out, *buffers, **params):
            self._gpu.device.launch(call)


class GPU:
    """Memory is `Buffer`s; an operation without a kernel runs its definition on the host."""

    def __init__(self, device: Device, precision: str | None = None) -> None:
        self.device, self.precision = device, precision
        self.name = f"{device.name}:{device.index}" if device.index else device.name
        self.pool = Pool(device)
        self._built: dict[tuple[Program, str], Any] = {}
        self.kernels: Mapping[str, Callable[..., None]] = {
            name: Routine(self, lower)
            for family in FAMILIES
            for name, lower in family.KERNELS.items()
        }

    # ---- memory

    def empty(self, shape: tuple[int, ...], dtype: DType) -> Buffer:
        buffer = Buffer(self.pool.take(n_bytes_of(shape, dtype)), shape, dtype)
        if isinstance(dtype, type):  # rows that nobody wrote are zeros
            self.device.clear(buffer.handle, buffer.piece.n_bytes)
        return buffer

    def put(self, array: Any, dtype: DType) -> Buffer:
        is_packed = isinstance(dtype, type)
        array = np.ascontiguousarray(array, np.uint8 if is_packed else dtype).reshape(
            np.shape(array)
        )
        shape = array.shape
        if isinstance(dtype, type):
            shape = (*shape[:-1], shape[-1] // dtype.layout.itemsize * dtype.block)
        buffer = Buffer(self.pool.take(array.nbytes), shape, dtype)
        self._upload(buffer, array, 0)
        return buffer

    def get(self, buffer: Buffer, rows: Any = None) -> Any:
        shape, dtype = buffer.raw
        if rows is None:
            array = np.empty(shape, dtype)
            if array.nbytes:
                self.device.download(buffer.handle, array, 0)
            return array
        at = np.arange(shape[0])[rows]
        array = np.empty((*at.shape, *shape[1:]), dtype)
        size = math.prod(shape[1:]) * dtype.itemsize
        for first, last in runs(at) if array.nbytes else ():
            self.device.download(buffer.handle, array[first:last], int(at[first]) * size)
        return array

    def write(self, buffer: Buffer, array: Any, rows: Any = None) -> None:
        shape, dtype = buffer.raw
        if rows is None:
            self._upload(buffer, np.broadcast_to(np.asarray(array, dtype), shape), 0)
            return
        at = np.arange(shape[0])[rows]
        array = np.broadcast_to(np.asarray(array, dtype), (*at.shape, *shape[1:]))
        size = math.prod(shape[1:]) * dtype.itemsize
        for first, last in runs(at):
            self._upload(buffer, array[first:last], int(at[first]) * size)

    def _upload(self, buffer: Buffer, array: Any, offset: int) -> None:
        if array.nbytes:
            self.device.upload(buffer.handle, np.ascontiguousarray(array), offset)

    def view(self, buffer: Buffer, shape: tuple[int, ...], dtype: DType) -> Buffer:
        return Buffer(buffer.piece, shape, dtype)

    @property
    def shares_memory(self) -> bool:
        """Whether the device's memory is the processor's."""
        return self.device.shares_memory

    def free_bytes(self) -> int:
        """How much memory the device has left."""
        return self.device.free_bytes(self.pool.n_bytes)

    def scratch(self, n_bytes: int) -> Any:
        """Memory that is good until the next operation's launches."""
        return self.pool.scratch(n_bytes)

    # ---- kernels

    def call(
        self,
        kernel: str,
        program: Program | str,
        groups: int,
        args: Sequence[Any],
    ) -> Call:
        """The launch of a kernel; the program is a file's name, or has formats and constants."""
        if isinstance(program, str):
            program = Program(program)
        built = self._built.get((program, kernel))
        if built is None:
            built = self._built[program, kernel] = self.device.build(program, kernel)
        return Call(built, groups, program.lanes, [_argument(value) for value in args])

    def sync(self) -> None:
        self.device.sync()

    def compile(self, plan: Plan) -> Callable[[], object]:
        return Compiled(self, plan)


def programs() -> list[Program]:
    """A program of every kind that there is: what the tests compile for devices not at hand."""
    return [program for family in FAMILIES for program in family.PROGRAMS]


class Compiled:
    """A plan made ready: launches that follow each other at once, and Python in between."""

    def __init__(self, gpu: GPU, plan: Plan) -> None:
        launches = {id(launch.run): launch for launch in plan.launches}
        self._parts: list[Callable[[], object]] = []
        calls: list[Call] = []
        for run in plan.calls:
            launch = launches.get(id(run))
            if launch is not None and isinstance(launch.kernel, Routine):
                buffers = [None if arg is None else arg.buffer for arg in launch.args]
                calls += launch.kernel.calls(launch.out.buffer, *buffers, **launch.params)
                continue
            if calls:
                self._parts.append(gpu.device.prepare([*matmul.without_repeats(calls)]))
                calls = []
            self._parts.append(run)
        if calls:
            self._parts.append(gpu.device.prepare([*matmul.without_repeats(calls)]))

    def __call__(self) -> None:
        for part in self._parts:
            part()


def _argument(value: Any) -> Any:
    if isinstance(value, Buffer):
        return value.handle
    return np.int32(value) if isinstance(value, int) else value


def runs(rows: Any) -> Iterator[tuple[int, int]]:
    """Where numbers follow each other: the first place and the one after the last, for each."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    ends = [*breaks.tolist(), len(rows)]
    return zip([0, *breaks.tolist()], ends, strict=True) if len(rows) else iter(())
