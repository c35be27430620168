"""The processor: operations become rows of a tape, which compiled code walks with some threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import quants
from ...errors import UnsupportedError
from ...threads import default_threads
from . import attention, elementwise, experts, norm, products, rope, store
from .blocks import Blocks
from .kernel import aligned_bytes
from .tape import Tape, address_of
from .workers import team

if TYPE_CHECKING:
    from ...plan import Launch, Plan
    from ...tensor import DType


class Routine:
    """An operation here: `put` adds to a tape what computes it."""

    def __init__(self, backend: CPU, put: Callable[..., None]) -> None:
        self.backend, self.put = backend, put

    def __call__(self, out: Any, *buffers: Any, **params: Any) -> None:
        tape = Tape(self.backend.team.threads)
        self.put(tape, out, *buffers, **params)
        self.backend.team.run(tape.finish())


class CPU:
    """Memory is NumPy arrays, and `Blocks`; an operation without a kernel runs its definition."""

    name = "cpu"

    def __init__(self, threads: int, precision: str | None) -> None:
        self.team = team(threads)
        self.precision = precision
        found = {
            **elementwise.KERNELS,
            **norm.KERNELS,
            **rope.KERNELS,
            **store.KERNELS,
            **experts.KERNELS,
            **attention.KERNELS,
            **products.kernels(precision),
            # whatever the format, a cell is bytes
            **{f"copy_cells.{each.name}": store.put_copy_cells for each in quants.formats()},
        }
        self.kernels: Mapping[str, Callable[..., None]] = {
            name: Routine(self, put) for name, put in found.items()
        }

    def empty(self, shape: tuple[int, ...], dtype: DType) -> Any:
        if not isinstance(dtype, np.dtype):
            row_bytes = dtype.row_bytes(shape[-1])
            n_bytes = math.prod(shape[:-1]) * row_bytes
            return Blocks(dtype, aligned_bytes(n_bytes).reshape(*shape[:-1], row_bytes))
        room = np.empty(math.prod(shape) * dtype.itemsize + 64, np.uint8)
        return np.ndarray(shape, dtype, room, -address_of(room) % 64)

    def put(self, array: Any, dtype: DType) -> Any:
        if not isinstance(dtype, np.dtype):
            return Blocks(dtype, np.ascontiguousarray(array, np.uint8), pack=True)
        array = np.asarray(array)
        buffer = self.empty(array.shape, dtype)
        buffer[...] = array
        return buffer

    def get(self, buffer: Any) -> Any:
        return buffer.copy() if isinstance(buffer, Blocks) else buffer

    def write(self, buffer: Any, array: Any) -> None:
        if isinstance(buffer, Blocks):
            buffer = buffer.rows
        buffer[...] = array

    def view(self, buffer: Any, shape: tuple[int, ...], dtype: DType) -> Any:
        assert isinstance(dtype, np.dtype)
        if buffer.dtype != dtype or buffer.ndim == 1:
            n_bytes = math.prod(shape) * dtype.itemsize
            buffer = buffer.reshape(-1).view(np.uint8)[:n_bytes].view(dtype)
        return buffer.reshape(shape)

    def sync(self) -> None:
        pass  # whatever was launched is done when the launch returns

    def compile(self, plan: Plan) -> Callable[[], object]:
        """One tape of all launches; what has no kernel is called from Python in between."""
        tape = Tape(self.team.threads)
        launches = {id(launch.run): launch for launch in plan.launches}
        for call in plan._calls:
            launch = launches.get(id(call))
            if launch is not None and isinstance(launch.kernel, Routine):
                self._add(tape, launch)
            else:
                tape.call(call)
                tape.wrote()
        return partial(self.team.run, tape.finish())

    def _add(self, tape: Tape, launch: Launch) -> None:
        buffers = [None if arg is None else arg.buffer for arg in launch.args]
        launch.kernel.put(tape, launch.out.buffer, *buffers, **launch.params)  # type: ignore[attr-defined]
        for buffer in (launch.out.buffer, *buffers):
            if isinstance(buffer, Blocks):
                buffer.pinned = True
        out = launch.out.buffer
        tape.wrote(out if isinstance(out, np.ndarray) else None)


def create(
    *,
    threads: int | None = None,
    precision: str | None = None,
    deterministic: bool = False,
    n_gpu_layers: int | None = None,
) -> CPU:
    """The backend. Its bits depend neither on the threads nor on what else is in a batch."""
    if n_gpu_layers:
        raise UnsupportedError(
            f"n_gpu_layers is {n_gpu_layers}, and the device cpu has no GPU: leave it out, or "
            f"choose another device"
        )
    if threads is not None and threads < 1:
        raise UnsupportedError(f"threads is {threads}: at least one thread computes")
    if precision not in (None, "float32"):
        raise UnsupportedError(f"precision is {precision!r}: choose None or 'float32'")
    return CPU(threads or default_threads(), precision)
