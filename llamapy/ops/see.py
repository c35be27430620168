"""Names for looking: marks on the way through a model, to read and to change what passes there.

    x = see("ffn_out", x)

costs nothing unless somebody looks. The names are llama.cpp's: inside of layer 3 this point is
`blk.3.ffn_out`, which llama.cpp calls `ffn_out-3`.
"""

from __future__ import annotations

import contextvars
import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError, UnsupportedError
from ..plan import Launch, new_tensor, recording
from ..tensor import Tensor

# takes a point's name and values; what it returns takes their place, unless that is None
Hook: TypeAlias = Callable[[str, NDArray[Any]], NDArray[Any] | None]
# computes with operations what takes a point's place, on the device: a part of the model
Edit: TypeAlias = Callable[[Tensor], Tensor]


class Looking:
    """Who looks where: patterns of names to keep, hooks, and edits by their points' names."""

    def __init__(
        self, keep: Sequence[str], hooks: Mapping[str, Hook], edits: Mapping[str, Edit]
    ) -> None:
        self.keep, self.hooks, self.edits = tuple(keep), dict(hooks), dict(edits)
        self.seen: dict[str, NDArray[Any]] = {}
        self.passed: list[str] = []  # the names of all points that were met

    def wants(self, name: str) -> bool:
        return name in self.edits or any(
            fnmatchcase(name, pattern) for pattern in (*self.keep, *self.hooks)
        )

    def check_all_met(self) -> None:
        """Refuse a name that stands for nothing: somebody believes to look there."""
        for pattern in (*self.keep, *self.hooks):
            if not any(fnmatchcase(name, pattern) for name in self.passed):
                near = difflib.get_close_matches(pattern, self.passed, 3) or self.passed[-3:]
                raise UnsupportedError(
                    f"no point of this computation is named {pattern!r}: there are "
                    f"{', '.join(near)} and others, which capture=('*',) lists"
                )


_looking: contextvars.ContextVar[Looking | None] = contextvars.ContextVar("looking", default=None)
_scope: contextvars.ContextVar[str] = contextvars.ContextVar("scope", default="")


@contextmanager
def looking(
    keep: Sequence[str] = (),
    hooks: Mapping[str, Hook] | None = None,
    edits: Mapping[str, Edit] | None = None,
) -> Iterator[Looking]:
    """Keep in `seen` what passes the points whose names match; hooks may replace it.

    Edits come first: what is kept, and what hooks get, is what they made of a point.
    """
    look = Looking(keep, hooks or {}, edits or {})
    token = _looking.set(look if keep or hooks or edits else None)
    try:
        yield look
    finally:
        _looking.reset(token)


@contextmanager
def scope(prefix: str) -> Iterator[None]:
    """The names inside begin with this: `blk.3.`."""
    token = _scope.set(_scope.get() + prefix)
    try:
        yield
    finally:
        _scope.reset(token)


def current_scope() -> str:
    """What the names here begin with."""
    return _scope.get()


def see(name: str, x: Tensor) -> Tensor:
    """Mark this point. Returns the values, or what a hook put in their place."""
    plan, look = recording(), _looking.get()
    if plan is None and look is None:
        return x
    name = _scope.get() + name
    if look is not None:
        look.passed.append(name)
        if name in look.edits:
            x = look.edits[name](x)
        for pattern, hook in look.hooks.items():
            if fnmatchcase(name, pattern):
                x = _replace(name, x, hook)
        if any(fnmatchcase(name, pattern) for pattern in look.keep):
            look.seen[name] = x.unleased().numpy().copy()
    if plan is not None:
        plan.mark(name, x)
    return x


def looks_inside(names: Sequence[str]) -> bool:
    """Whether somebody looks at one of these points: then a fused operation runs its body."""
    look = _looking.get()
    return look is not None and any(look.wants(_scope.get() + name) for name in names if name)


def _replace(name: str, x: Tensor, hook: Hook) -> Tensor:
    """Let a hook change the values: on the host, and again in every replay of a plan."""
    backend = x.backend
    assert isinstance(x.dtype, np.dtype)
    out = new_tensor(x.shape, x.dtype, backend)

    def run(out: Any, buffer: Any) -> None:
        values = np.array(backend.get(buffer)).reshape(x_shape)
        changed = hook(name, values)
        if changed is not None:
            try:
                values = np.broadcast_to(changed, x_shape)
            except ValueError:
                raise ShapeError(
                    f"a hook for {name} returned {list(np.shape(changed))}, and the values there "
                    f"are {list(x_shape)}: return as many, or None to leave them"
                ) from None
        backend.write(out, values)

    x_shape = x.shape
    launch = Launch("hook", run, out, (x,), {})
    launch.run()
    plan = recording()
    if plan is not None:
        plan.add(launch)
    return out
