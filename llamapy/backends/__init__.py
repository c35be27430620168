"""Where operations run. A backend is memory, and kernels for as many operations as it likes.

A backend without kernels is already right: an operation that has none runs its NumPy definition.
So a backend grows by a kernel at a time, and `llamapy.testing.check_backend` checks each.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..errors import DeviceUnavailable, UnsupportedError

if TYPE_CHECKING:
    from ..plan import Plan
    from ..tensor import DType

# the names that may be asked for: a backend is the module of this folder that has its name and a
# function `create`, and may have one `problem` that says why it cannot be used here
DEVICES = ("cpu", "cuda", "numpy", "opencl", "rocm")
GRAPHICS = ("cuda", "rocm", "opencl")  # those that have an index: cuda:1
# `auto` takes the first of these that can be used; a processor that OpenCL offers is none
AUTO = (*GRAPHICS, "cpu", "numpy")

_log = logging.getLogger("llamapy")


@runtime_checkable
class Backend(Protocol):
    """Memory and kernels.

    `kernels` maps an operation's name to `kernel(out, *buffers, **parameters)`, which fills `out`
    and returns nothing. Where operands are packed, their formats are part of the name, in order:
    `matmul.Q4_0`, `attend.F16`. An optional operand that is missing is None. An operation that
    writes into one of its operands has that operand for `out` too.
    """

    name: str
    kernels: Mapping[str, Callable[..., None]]

    def empty(self, shape: tuple[int, ...], dtype: DType) -> Any:
        """New memory, whatever it holds."""

    def put(self, array: Any, dtype: DType) -> Any:
        """Memory with these numbers; for a block format, with the rows whose bytes these are.

        The backend may lay the blocks out as its kernels like them.
        """

    def get(self, buffer: Any, rows: Any = None) -> Any:
        """The numbers, or the bytes of the rows as `put` took them, as an array on the host.

        With `rows`, only those numbers along the first axis.
        """

    def write(self, buffer: Any, array: Any, rows: Any = None) -> None:
        """Put an array's numbers, or bytes, into memory that is there already, or some rows."""

    def view(self, buffer: Any, shape: tuple[int, ...], dtype: DType) -> Any:
        """The beginning of this memory as numbers of another shape and type."""

    def sync(self) -> None:
        """Return when all that was launched is done."""

    def compile(self, plan: Plan) -> Callable[[], object]:
        """The fastest way to replay a plan here. `plan.replay` is always right."""


def get(
    device: str | Backend | Sequence[str | Backend] = "auto",
    *,
    n_gpu_layers: int | None = None,
    split: Sequence[float] | None = None,
    **options: Any,
) -> Backend:
    """The backend of a device by name. A backend object is taken as it is.

    `auto` is the best that this machine has; a name that it lacks is an error, never a fallback.
    "cuda:1" is the second of its kind. Several, in a list or as "cuda:0,cuda:1", share a model's
    layers in this order: by their free memory, or as `split` says, such as (3, 1). With
    `n_gpu_layers`, graphics processors have the last layers, the output as well if there are fewer,
    and the processor has the others; -1 is all.
    """
    devices = _listed(device)
    if n_gpu_layers is not None and n_gpu_layers < 0:
        n_gpu_layers = None
    if len(devices) == 1 and not (n_gpu_layers is not None and _is_graphics(devices[0])):
        if split is not None:
            raise UnsupportedError(f"split is {split!r}, and there is one device: leave it out")
        if n_gpu_layers is not None:
            options["n_gpu_layers"] = n_gpu_layers
        return _one(devices[0], options)
    hosts = [each for each in devices if not _is_graphics(each)]
    graphics = [each for each in devices if _is_graphics(each)]
    if n_gpu_layers is not None:
        if len(hosts) > 1 or not graphics:
            named = ", ".join(map(_name, devices))
            raise UnsupportedError(
                f"n_gpu_layers is {n_gpu_layers}, and the devices are {named}: name "
                f"those for graphics, and one other at most"
            )
        hosts = hosts or ["cpu"]
        devices = [*hosts, *graphics] if n_gpu_layers else hosts
    of_host = {name: options.pop(name) for name in ("threads",) if hosts and name in options}
    parts = [_one(each, options if _is_graphics(each) else options | of_host) for each in devices]
    if len(parts) == 1:
        return parts[0]
    from .several import Several

    n_sharing = len(parts) - (n_gpu_layers is not None)
    if split is not None and (len(split) != n_sharing or min(split) < 0 or not sum(split)):
        raise UnsupportedError(
            f"split is {tuple(split)}, and {n_sharing} devices share layers: give each a part"
        )
    return Several(parts, n_last=n_gpu_layers, shares=split)


def _listed(device: str | Backend | Sequence[str | Backend]) -> list[Any]:
    """The devices that were asked for, one by one."""
    if isinstance(device, str):
        device = [name.strip() for name in device.split(",")]
    devices = list(device) if isinstance(device, Sequence) else [device]
    if not devices:
        raise UnsupportedError("no device was named: choose one, or auto")
    return [automatic() if each == "auto" else each for each in devices]


def _is_graphics(device: str | Backend) -> bool:
    return _name(device).partition(":")[0] in GRAPHICS


def _name(device: str | Backend) -> str:
    return device if isinstance(device, str) else device.name


def _one(device: str | Backend, options: Mapping[str, Any]) -> Backend:
    """One backend."""
    if not isinstance(device, str):
        return device
    name, colon, index = device.partition(":")
    if name not in DEVICES:
        raise UnsupportedError(
            f"there is no device {device!r}: choose one of auto, {', '.join(DEVICES)}"
        )
    if colon:
        if name not in GRAPHICS or not index.isdecimal():
            raise UnsupportedError(
                f"there is no device {device!r}: of {', '.join(GRAPHICS)} there may be several, "
                f"counted from 0, as in {GRAPHICS[0]}:1"
            )
        options = {**options, "index": int(index)}
    create = getattr(_module(name), "create", None)
    if create is None:
        there = [name for name in DEVICES if hasattr(_module(name), "create")]
        raise DeviceUnavailable(
            f"the device {name!r} is not available in this version of llamapy: "
            f"choose {', '.join(there)}"
        )
    if problem := _problem(name):
        raise DeviceUnavailable(
            f"the device {name!r} cannot be used here, for {problem}: mend that, or choose "
            f"device={'numpy' if name == 'cpu' else 'cpu'!r}"
            + (", which is slow" if name == "cpu" else "")
        )
    return create(**options)


def automatic() -> str:
    """The best device that can be used; which one, and why, is logged."""
    problems = {}
    for name in AUTO:
        problems[name] = _problem_of_auto(name)
        if not problems[name]:
            break
    chosen = name
    if chosen == "numpy":  # which is slow
        _log.warning("device numpy, for cpu cannot be used: %s", problems["cpu"])
    others = "; ".join(f"not {name}: {why}" for name, why in problems.items() if why)
    _log.info("device auto is %s%s", chosen, f" ({others})" if others else "")
    return chosen


def _problem_of_auto(name: str) -> str:
    """Why `auto` does not take a device; for graphics, what is found stays as it is."""
    if name not in GRAPHICS:
        return _problem(name)
    if name not in _graphics_problems:
        problem = getattr(_module(name), "problem_of_auto", None)
        _graphics_problems[name] = problem() if problem else _problem(name)
    return _graphics_problems[name]


_graphics_problems: dict[str, str] = {}


def _problem(device: str) -> str:
    """Why a device cannot be used on this machine; empty if it can."""
    problem = getattr(_module(device), "problem", None)
    return problem() if problem else ""


def _module(device: str) -> Any:
    """The module of a device, if there is one."""
    name = f"{__name__}.{device}"
    return importlib.import_module(name) if importlib.util.find_spec(name) else None
