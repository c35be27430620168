"""Which kernels a computation needs: it is gone through on this backend, and nothing is computed.

Weights stay where they are, unread; operations only ask for their kernels, which are noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import packing, tape
from .backend import CPU, Routine
from .blocks import Blocks, Bytes
from .formats import LAYOUTS
from .kernel import Compiled, noting

if TYPE_CHECKING:
    from ...plan import Plan
    from ...tensor import DType


class Rehearsal(CPU):
    """In place of a backend. `wanted` are the kernels, in the order in which they are needed."""

    def __init__(self, backend: CPU) -> None:
        vars(self).update(vars(backend))
        self.wanted: dict[Compiled, None] = {}
        self.kernels = _Kernels(self, backend.kernels)

    def put(self, array: Any, dtype: DType) -> Any:
        if isinstance(dtype, np.dtype):
            return np.asarray(array, dtype)
        with noting(self.wanted):
            return _Unread(dtype, np.asarray(array), pack=True)

    def compile(self, plan: Plan) -> Callable[[], object]:
        with noting(self.wanted):
            tape.walk.address, tape.follow.address  # noqa: B018
        return _nothing

    def note(self, put: Callable[..., None], *buffers: Any, **params: Any) -> None:
        """An operation: what it would put on a tape."""
        with noting(self.wanted):
            put(tape.Tape(self.team.threads), *buffers, **params)


class _Kernels(Mapping[str, Callable[..., None]]):
    """Those of a backend, noted; an operation without one does nothing here."""

    def __init__(self, rehearsal: Rehearsal, kernels: Mapping[str, Any]) -> None:
        self._rehearsal, self._kernels = rehearsal, kernels

    def __getitem__(self, name: str) -> Callable[..., None]:
        routine = self._kernels.get(name)
        if isinstance(routine, Routine):
            return partial(self._rehearsal.note, routine.put)
        return _nothing

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._kernels

    def __iter__(self) -> Iterator[str]:
        return iter(self._kernels)

    def __len__(self) -> int:
        return len(self._kernels)


def _nothing(*_: Any, **__: Any) -> None:
    pass


class _Unread(Blocks):
    """Rows whose bytes nobody looks at: packed, they are as many bytes as they would be."""

    def _pack(self, rows: Bytes) -> Bytes:
        layout = LAYOUTS[self.quant.name]
        packing._worker(layout, back=False).address  # noqa: B018
        size = int(np.prod(self.lead[:-1], dtype=np.int64)) * self.matrix_bytes
        return np.broadcast_to(np.zeros(1, np.uint8), (size,))
