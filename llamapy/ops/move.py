"""The one operation between backends: a copy on another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..plan import Launch, new_tensor, recording
from ..tensor import Tensor

if TYPE_CHECKING:
    from ..backends import Backend


def move(x: Tensor, target: Backend) -> Tensor:
    """The values on another backend; the tensor itself, if it is there already."""
    if x.is_on(target):
        return x.on(target)
    assert isinstance(x.dtype, np.dtype)
    out = new_tensor(x.shape, x.dtype, target)
    source = x.backend

    def copy(out: Any, buffer: Any) -> None:
        target.write(out, source.get(buffer))

    launch = Launch("move", copy, out, (x,), {}, kernel_name="move")
    launch.run()
    plan = recording()
    if plan is not None:
        plan.add(launch)
    return out
