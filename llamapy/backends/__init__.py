"""Where operations run. A backend is memory, and kernels for as many operations as it likes.

A backend without kernels is already right: an operation that has none runs its NumPy definition.
So a backend grows by a kernel at a time, and `llamapy.testing.check_backend` checks each.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..errors import DeviceUnavailable, UnsupportedError

if TYPE_CHECKING:
    from ..plan import Plan
    from ..tensor import DType

# the names that may be asked for: a backend is the module of this folder that has its name and a
# function `create`, and may have one `problem` that says why it cannot be used here; `auto` takes
# the first of its own that can
DEVICES = ("cpu", "cuda", "numpy", "opencl", "rocm")
AUTO = ("cpu", "numpy")

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


def get(device: str | Backend = "auto", **options: Any) -> Backend:
    """The backend of a device by name. A backend object is taken as it is.

    `auto` is the best that this machine has; a name that it lacks is an error, never a fallback.
    """
    if not isinstance(device, str):
        return device
    if device == "auto":
        device = _automatic()
    if device not in DEVICES:
        raise UnsupportedError(
            f"there is no device {device!r}: choose one of auto, {', '.join(DEVICES)}"
        )
    create = getattr(_module(device), "create", None)
    if create is None:
        there = [name for name in DEVICES if hasattr(_module(name), "create")]
        raise DeviceUnavailable(
            f"the device {device!r} is not available in this version of llamapy: "
            f"choose {', '.join(there)}"
        )
    if problem := _problem(device):
        raise DeviceUnavailable(
            f"the device {device!r} cannot be used here, for {problem}: mend that, or choose "
            f"device='numpy', which is slow"
        )
    return create(**options)


def _automatic() -> str:
    """The best device that can be used; which one, and why, is logged."""
    problems = {name: _problem(name) for name in AUTO}
    chosen = next(name for name in AUTO if not problems[name])
    if chosen == AUTO[0]:
        _log.info("device %s, the fastest of %s: it can be used here", chosen, ", ".join(AUTO))
    for name in AUTO[: AUTO.index(chosen)]:
        _log.warning("device %s, for %s cannot be used: %s", chosen, name, problems[name])
    return chosen


def _problem(device: str) -> str:
    """Why a device cannot be used on this machine; empty if it can."""
    problem = getattr(_module(device), "problem", None)
    return problem() if problem else ""


def _module(device: str) -> Any:
    """The module of a device, if there is one."""
    name = f"{__name__}.{device}"
    return importlib.import_module(name) if importlib.util.find_spec(name) else None
