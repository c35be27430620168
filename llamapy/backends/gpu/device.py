"""What differs between OpenCL, CUDA and ROCm: memory, and how kernels are built and launched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import DeviceUnavailable, MemoryPlanError
from .source import Program


@dataclass(frozen=True, slots=True)
class Call:
    """One launch: a built kernel, how many groups of lanes, and its arguments.

    An argument is a device's memory, a NumPy number, or None for an operand that is missing.
    """

    kernel: Any
    groups: int
    lanes: int
    args: Sequence[Any]


class Device(Protocol):
    """A device with one queue: what is launched is done in that order.

    Everything that goes wrong is an error of our own tree, with what the device says.
    """

    name: str  # the backend's: opencl, cuda, rocm
    says: str  # what the device calls itself, for people
    index: int  # of those of this name
    shares_memory: bool  # with the processor
    library: Any  # what multiplies plain matrices, as `cublas.Library`; None if there is nothing

    def allocate(self, n_bytes: int, in_use: int) -> Any:
        """New memory; `in_use` is what there is already, for the error that there is no more."""

    def release(self, memory: Any) -> None: ...

    def has_room(self, n_bytes: int) -> bool:
        """Whether so much in all fits, as far as the device says."""

    def free_bytes(self, in_use: int) -> int:
        """What is left, beside so much that we use."""

    def clear(self, memory: Any, n_bytes: int) -> None:
        """Fill memory with zeros."""

    def upload(self, memory: Any, array: NDArray[Any], offset: int) -> None:
        """Bytes of a contiguous array into memory, from some byte on.

        The array is free after. The device may copy later, when what was launched before is done.
        """

    def download(self, memory: Any, array: NDArray[Any], offset: int) -> None:
        """Bytes of memory into a contiguous array, when all that was launched is done."""

    def build(self, program: Program, kernel: str) -> Any:
        """A kernel of a program, compiled; the text comes from `source.text`."""

    def launch(self, call: Call) -> None: ...

    def prepare(self, calls: Sequence[Call]) -> Callable[[], object]:
        """Something that launches all of these again, with as little work as can be."""

    def sync(self) -> None: ...


# ---- what may go wrong


def does_not_build(program: Program, device: str, log: str) -> DeviceUnavailable:
    return DeviceUnavailable(
        f"{device} cannot build the kernels {program}; its compiler says:\n{log.strip()}\n"
        f"update the device's driver, or choose device='cpu'"
    )


def out_of_memory(n_bytes: int, in_use: int, device: str, says: object) -> MemoryPlanError:
    return MemoryPlanError(
        f"{device} has no room for {n_bytes} more bytes beside {in_use} that are in use ({says}): "
        f"choose a shorter n_ctx, a smaller kv_type or fewer layers there (n_gpu_layers)"
    )


def failed(what: str, device: str, says: object) -> DeviceUnavailable:
    return DeviceUnavailable(
        f"{device} failed to {what} ({says}): the device may be lost or was reset; load the model "
        f"again, or choose device='cpu'"
    )


def number(value: Any, whole: bool) -> Any:
    """A parameter as kernels take it; one that is missing is 0."""
    return np.int32(value or 0) if whole else np.float32(value or 0)
