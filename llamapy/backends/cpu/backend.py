"""The processor: operations become rows of a tape, which compiled code walks with some threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import quants
from ...errors import UnsupportedError
from ...threads import default_threads
from . import (
    attention,
    attention_parts,
    by_head,
    conv,
    delta,
    elementwise,
    experts,
    norm,
    pool,
    positions,
    products,
    rope,
    rows,
    ssm,
    store,
    store_cells,
    wkv,
)
from .blocks import Blocks
from .compiled import Compiled
from .kernel import aligned_bytes
from .tape import Tape, address_of
from .workers import team

if TYPE_CHECKING:
    from ...plan import Plan
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
        multiply = products.kernels(precision)
        found = {
            **elementwise.KERNELS,
            **norm.KERNELS,
            **rope.KERNELS,
            **positions.KERNELS,
            **rows.KERNELS,
            **conv.KERNELS,
            **ssm.KERNELS,
            **wkv.KERNELS,
            **delta.KERNELS,
            **store.KERNELS,
            **store_cells.KERNELS,
            **experts.KERNELS,
            **attention.kernels(precision),
            **attention_parts.KERNELS,
            **pool.KERNELS,
            **multiply,
            **by_head.kernels(multiply),
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
            room = aligned_bytes(n_bytes).reshape(*shape[:-1], row_bytes)
            return Blocks(dtype, room, empty=True)
        room = np.empty(math.prod(shape) * dtype.itemsize + 64, np.uint8)
        return np.ndarray(shape, dtype, room, -address_of(room) % 64)

    def put(self, array: Any, dtype: DType) -> Any:
        if not isinstance(dtype, np.dtype):
            return Blocks(dtype, np.ascontiguousarray(array, np.uint8), pack=True)
        array = np.asarray(array)
        buffer = self.empty(array.shape, dtype)
        buffer[...] = array
        return buffer

    def get(self, buffer: Any, rows: Any = None) -> Any:
        if isinstance(buffer, Blocks):
            return buffer.copy() if rows is None else buffer.take(rows)
        return buffer if rows is None else buffer[rows]

    def write(self, buffer: Any, array: Any, rows: Any = None) -> None:
        if isinstance(buffer, Blocks):
            buffer.put(slice(None) if rows is None else rows, array)
        else:
            buffer[... if rows is None else rows] = array

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
        return Compiled(plan, self.team, lambda kernel: isinstance(kernel, Routine))

    def rehearsal(self) -> Any:
        """This backend, which computes nothing and notes the kernels that it would need."""
        from .rehearsal import Rehearsal

        return Rehearsal(self)


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
