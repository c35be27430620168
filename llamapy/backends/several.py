"""Several backends as one: a model's layers are divided among them, in order.

A tensor of this backend is everywhere: each part has its copy. So are step inputs, frequencies and
whatever else is small. An operation on such tensors alone runs on every part, and its result is
everywhere, too; together with a tensor of one part, it runs there. What layers hand on is moved
(`ops.move`), where the next layer lies on another part.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import Backend

if TYPE_CHECKING:
    from ..plan import Plan
    from ..tensor import DType

_LAYER = re.compile(r"(?:^|\.)blk\.(\d+)\.")
_AT_THE_END = ("output", "cls")  # what the names of tensors begin with that follow all layers


class Several:
    """Memory on all parts; the kernels are theirs.

    With `n_last`, the last layers lie on the parts behind the first, which has all others and, if
    there are others, both ends. Without it, the layers are divided among all parts. `shares` are
    what each of those gets of them.
    """

    kernels: Mapping[str, Callable[..., None]] = {}

    def __init__(
        self,
        parts: Sequence[Backend],
        *,
        n_last: int | None = None,
        shares: Sequence[float] | None = None,
        layers: Sequence[int] = (),
        ends: tuple[int, int] = (0, -1),
    ) -> None:
        self.parts = tuple(parts)
        self.name = "+".join(part.name for part in self.parts)
        self.n_last, self.shares = n_last, shares
        self._layers = tuple(layers)  # of each layer, which part it lies on
        self._ends = ends  # the parts with the embedding, and with the output

    # ---- which part has what

    @property
    def is_divided(self) -> bool:
        """Whether it is known which part has which layers of a model."""
        return bool(self._layers)

    @property
    def sharing(self) -> tuple[Backend, ...]:
        """The parts that layers are divided among."""
        return self.parts if self.n_last is None else self.parts[1:]

    def divided(self, n_layer: int, shares: Sequence[float]) -> Backend:
        """This for a model of so many layers; one part alone, if that has all of them.

        `shares` count for the parts that are `sharing`, unless others were asked for.
        """
        n_last = n_layer if self.n_last is None else min(self.n_last, n_layer)
        counts = _divided(n_last, self.shares or shares)
        if self.n_last is not None:
            counts = [n_layer - n_last, *counts]
        of_layers = [part for part, count in enumerate(counts) for _ in range(count)]
        if self.n_last is not None and self.n_last <= n_layer:
            ends = (0, 0)
        else:
            ends = (of_layers[0], of_layers[-1]) if of_layers else (0, 0)
        used = sorted({*of_layers, *ends})
        if len(used) == 1:
            return self.parts[used[0]]
        numbers = [used.index(part) for part in of_layers]
        first, last = (used.index(part) for part in ends)
        return Several([self.parts[part] for part in used], layers=numbers, ends=(first, last))

    def with_parts(self, change: Callable[[Backend], Backend]) -> Several:
        """The same division of other backends, each made from one of these."""
        parts = [change(part) for part in self.parts]
        return Several(
            parts, n_last=self.n_last, shares=self.shares, layers=self._layers, ends=self._ends
        )

    def of_layer(self, number: int) -> Backend:
        """Where a layer lies; what follows the last one is where that is."""
        return self.parts[self._layers[min(number, len(self._layers) - 1)]]

    def of_tensor(self, name: str, rank: int) -> Backend:
        """Where a tensor of a file belongs: vectors outside of layers are everywhere."""
        if found := _LAYER.search(name):
            return self.of_layer(int(found[1]))
        if rank < 2:
            return self
        return self.parts[self._ends[name.startswith(_AT_THE_END)]]

    def of_part(self, buffer: Any, part: Backend) -> Any:
        """The copy that a part has."""
        return buffer[self.parts.index(part)]

    # ---- memory: a buffer is those of the parts

    def empty(self, shape: tuple[int, ...], dtype: DType) -> Any:
        return tuple(part.empty(shape, dtype) for part in self.parts)

    def put(self, array: Any, dtype: DType) -> Any:
        return tuple(part.put(array, dtype) for part in self.parts)

    def get(self, buffer: Any, rows: Any = None) -> Any:
        return self.parts[0].get(buffer[0], rows)

    def write(self, buffer: Any, array: Any, rows: Any = None) -> None:
        for part, copy in zip(self.parts, buffer, strict=True):
            part.write(copy, array, rows)

    def view(self, buffer: Any, shape: tuple[int, ...], dtype: DType) -> Any:
        return tuple(
            part.view(copy, shape, dtype) for part, copy in zip(self.parts, buffer, strict=True)
        )

    def sync(self) -> None:
        for part in self.parts:
            part.sync()

    def compile(self, plan: Plan) -> Callable[[], object]:
        """Each segment as its part compiles it."""
        parts = ((segment.backend, segment) for segment in plan.segments())
        runs = [part.compile(segment) for part, segment in parts if part is not None]

        def run() -> None:
            for each in runs:
                each()

        return run


def of_layer(backend: Backend, number: int) -> Backend:
    """Where a layer lies, on one backend or on several."""
    return backend.of_layer(number) if isinstance(backend, Several) else backend


def of_tensor(backend: Backend, name: str, rank: int) -> Backend:
    """Where a tensor of a file belongs, on one backend or on several."""
    return backend.of_tensor(name, rank) if isinstance(backend, Several) else backend


def parts_of(backend: Backend) -> tuple[Backend, ...]:
    """The backends that memory lies on."""
    return backend.parts if isinstance(backend, Several) else (backend,)


def with_parts(backend: Backend, change: Callable[[Backend], Backend]) -> Backend:
    """A backend made from another one, part by part."""
    return backend.with_parts(change) if isinstance(backend, Several) else change(backend)


def _divided(count: int, shares: Sequence[float]) -> list[int]:
    """So many layers in parts of about these shares, which follow each other."""
    total, done, ends = sum(shares), 0.0, [0]
    for share in shares:
        done += share
        ends.append(round(count * done / total))
    return [end - start for start, end in itertools.pairwise(ends)]
