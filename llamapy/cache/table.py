"""Which cells a sequence has: pages of cells, handed out, shared, copied on write and taken back.

All of this is bookkeeping on the host; the keys and values lie elsewhere, in states that have a
place for every cell of a table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend
from ..errors import UnsupportedError
from ..tensor import Tensor

PAGE = 32  # cells
ROLLBACK = 64  # positions behind a window that are kept, so that tokens can be taken back

Cells = NDArray[np.int32]


class Table:
    """Cells in pages. With a window, pages that have left every query's sight are freed."""

    def __init__(self, n_pages: int, backend: Backend, window: int | None = None) -> None:
        self.n_pages, self.window, self.backend = n_pages, window, backend
        self.positions = np.full(n_pages * PAGE, -1, np.int32)  # of each cell; -1 is free
        self.cell_positions = Tensor.of(self.positions.copy(), backend)
        self._free = list(range(n_pages))[::-1]
        self._users = np.zeros(n_pages, np.int64)
        self._pages: dict[int, list[int]] = {}
        self._lengths: dict[int, int] = {}
        self._dropped: dict[int, int] = {}  # positions below this are gone, in a window

    @property
    def n_cells(self) -> int:
        return self.n_pages * PAGE

    def pages(self, sequence: int) -> list[int]:
        """The pages of a sequence, in order."""
        return self._pages.get(sequence, [])

    def length(self, sequence: int) -> int:
        """How many cells of its pages, from the first on, a sequence uses."""
        return self._lengths.get(sequence, 0)

    def cells(self, sequence: int) -> Cells:
        """The cells in use, in order; some may be free."""
        pages = np.array(self.pages(sequence), np.int32)
        cells = np.add.outer(pages * PAGE, np.arange(PAGE)).astype(np.int32)
        return cells.reshape(-1)[: self.length(sequence)]

    def end(self, sequence: int) -> int:
        """The position after the last one that is remembered; 0 if there is none."""
        positions = self.positions[self.cells(sequence)]
        return int(positions.max(initial=-1)) + 1

    # ---- adding

    def pages_needed(self, sequence: int, n_tokens: int) -> int:
        """How many free pages so many more tokens would take."""
        length = self.length(sequence)
        shared = length % PAGE and self._users[self.pages(sequence)[-1]] > 1
        return -(-(length + n_tokens) // PAGE) - len(self.pages(sequence)) + bool(shared)

    def n_free(self) -> int:
        return len(self._free)

    def drop_unseen(self, sequence: int, position: int) -> None:
        """Free the pages that no query from this position on can see."""
        if self.window is None:
            return
        before = position - self.window - ROLLBACK
        pages = self.pages(sequence)
        while len(pages) > 1:
            first = self.positions[pages[0] * PAGE : pages[0] * PAGE + PAGE]
            if first.max() >= before:
                return
            self._dropped[sequence] = int(first.max()) + 1
            self._release(pages.pop(0))
            self._lengths[sequence] -= PAGE

    def add(self, sequence: int, positions: Sequence[int]) -> tuple[Cells, list[tuple[int, int]]]:
        """Cells for new tokens, and the pages whose cells must be copied first: (from, to)."""
        pages = self._pages.setdefault(sequence, [])
        length = self.length(sequence)
        copies = []
        if length % PAGE and self._users[pages[-1]] > 1:
            copies.append(self._make_own(sequence, len(pages) - 1))
        while len(pages) * PAGE < length + len(positions):
            pages.append(self._take())
        self._lengths[sequence] = length + len(positions)
        slots = self.cells(sequence)[length:]
        self.positions[slots] = positions
        return slots, copies

    # ---- changing

    def remove(self, sequence: int, start: int, stop: int) -> list[tuple[int, int]]:
        """Forget the positions from start up to stop; returns the pages to copy first."""
        dropped = self._dropped.get(sequence, 0)
        if self.window is not None and start - self.window + 1 < dropped:
            raise UnsupportedError(
                f"sequence {sequence} cannot go back to position {start}: its window of "
                f"{self.window} has moved on; remove all of it and compute it again"
            )
        cells = self.cells(sequence)
        gone = (self.positions[cells] >= start) & (self.positions[cells] < stop)
        kept = np.flatnonzero(~gone & (self.positions[cells] >= 0))
        length = int(kept[-1]) + 1 if len(kept) else 0
        copies = []
        for at in sorted({int(i) // PAGE for i in np.flatnonzero(gone[:length])}):
            if self._users[self.pages(sequence)[at]] > 1:
                copies.append(self._make_own(sequence, at))
        self.positions[self.cells(sequence)[:length][gone[:length]]] = -1
        self._shorten(sequence, length)
        return copies

    def copy(self, source: int, target: int) -> None:
        """Let target remember what source does, on the same pages."""
        self.drop(target)
        pages = list(self.pages(source))
        np.add.at(self._users, pages, 1)
        self._pages[target], self._lengths[target] = pages, self.length(source)
        self._dropped[target] = self._dropped.get(source, 0)

    def drop(self, sequence: int) -> None:
        """Forget a sequence."""
        for page in self._pages.pop(sequence, []):
            self._release(page)
        self._lengths.pop(sequence, None)
        self._dropped.pop(sequence, None)

    def shift(
        self, sequence: int, start: int, stop: int, by: int
    ) -> tuple[Cells, list[tuple[int, int]]]:
        """Move positions; returns the cells that moved, and the pages to copy first."""
        cells = self.cells(sequence)
        moved = (self.positions[cells] >= start) & (self.positions[cells] < stop)
        copies = [
            self._make_own(sequence, at)
            for at in sorted({int(i) // PAGE for i in np.flatnonzero(moved)})
            if self._users[self.pages(sequence)[at]] > 1
        ]
        cells = self.cells(sequence)[moved]
        self.positions[cells] += by
        return cells, copies

    def upload(self) -> None:
        """Tell the backend all positions, after a change that was not made by a step."""
        self.backend.write(self.cell_positions.buffer, self.positions)

    @property
    def sequences(self) -> list[int]:
        return sorted(self._pages)

    # ---- pages

    def _take(self) -> int:
        page = self._free.pop()
        self._users[page] = 1
        return page

    def _release(self, page: int) -> None:
        self._users[page] -= 1
        if not self._users[page]:
            self.positions[page * PAGE : (page + 1) * PAGE] = -1
            self._free.append(page)

    def _make_own(self, sequence: int, at: int) -> tuple[int, int]:
        """Replace a shared page by a copy of it."""
        if not self._free:
            raise UnsupportedError(
                f"no page is free to copy one that sequence {sequence} shares: "
                f"remove a sequence, or make the cache larger"
            )
        shared = self._pages[sequence][at]
        own = self._take()
        self.positions[own * PAGE : (own + 1) * PAGE] = self.positions[
            shared * PAGE : (shared + 1) * PAGE
        ]
        self._release(shared)
        self._pages[sequence][at] = own
        return shared, own

    def _shorten(self, sequence: int, length: int) -> None:
        pages = self.pages(sequence)
        while len(pages) * PAGE >= length + PAGE:
            self._release(pages.pop())
        self._lengths[sequence] = length
