"""Moving a sequence: tokens get other positions, and the keys that know theirs are turned."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UnsupportedError
from ..tensor import Tensor

if TYPE_CHECKING:
    from . import Cache


def shift(cache: Cache, by: int, sequence: int, start: int, stop: int) -> None:
    """Move the positions from start up to stop. What is refused is refused before any has moved.

    Keys in a block format are decoded, turned, and encoded again.
    """
    if not by:
        return
    _check(cache, by, sequence, start, stop)
    for window, table in cache.tables.items():
        cells, copies = table.shift(sequence, start, stop, by)
        cache.copy_pages(window, copies)
        table.upload()
        if not len(cells):
            continue
        ids = Tensor.of(cells, cache.backend)
        deltas = Tensor.of(np.full(len(cells), by, np.int32), cache.backend)
        for index, state in cache.attending:
            if state.window == window:
                state.move(ids, partial(_turned, cache, index, deltas))
    if cache.slots is not None:
        cache.slots.shift(sequence, start, stop, by)


def _turned(cache: Cache, layer: int, by: Tensor, keys: Tensor) -> Tensor:
    """The keys of a layer as if their tokens stood further on."""
    if cache.move is None:
        raise UnsupportedError("this architecture's keys cannot be moved: compute them again")
    return cache.move(layer, keys, by)


def _check(cache: Cache, by: int, sequence: int, start: int, stop: int) -> None:
    for table in cache.tables.values():
        table.check_shift(sequence, start, stop, by)
        at = table.positions[table.remembered(sequence)]
        moved = at[(at >= start) & (at < stop)]
        if len(moved) and int(moved.max()) + by >= cache.n_ctx:
            raise UnsupportedError(
                f"position {int(moved.max())} of sequence {sequence} would move to "
                f"{int(moved.max()) + by}, beyond the context of {cache.n_ctx}: make a larger cache"
            )
    # an architecture that cannot move its keys says so when it is asked to, so ask it for nothing
    nowhere = Tensor.of(np.zeros(1, np.int32), cache.backend)
    for index, state in cache.attending:
        key = np.zeros((1, state.n_heads, state.key_dim), np.float32)
        _turned(cache, index, nowhere, Tensor.of(key, cache.backend))
