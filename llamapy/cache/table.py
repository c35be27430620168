"""Which cells a sequence has: pages of cells, handed out, shared, copied on write and taken back.

All of this is bookkeeping on the host; the keys and values lie elsewhere, in states that have a
place for every cell of a table. Whatever may be refused is refused by a `check_` first, so that a
cache can ask all of its tables before it changes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend
from ..errors import ShapeError, UnsupportedError
from ..tensor import Tensor

PAGE = 32  # cells
ROLLBACK = 64  # positions behind a window that are kept, so that tokens can be taken back
END = int(np.iinfo(np.int32).max)  # after every position

Cells = NDArray[np.int32]
Copies = list[tuple[int, int]]  # pages to copy: from, to


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
        self._uneven: set[int] = set()  # sequences whose cells have holes, or had some

    @property
    def n_cells(self) -> int:
        return self.n_pages * PAGE

    @property
    def sequences(self) -> list[int]:
        return sorted(self._pages)

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

    def remembered(self, sequence: int) -> Cells:
        """The cells that are not free, in the order of their positions."""
        cells = self.cells(sequence)
        cells = cells[self.positions[cells] >= 0]
        return cells[np.argsort(self.positions[cells], kind="stable")]

    def dropped(self, sequence: int) -> int:
        """The positions below this were forgotten, for a window has moved on."""
        return self._dropped.get(sequence, 0)

    def end(self, sequence: int) -> int:
        """The position after the last one that is remembered; 0 if there is none."""
        positions = self.positions[self.cells(sequence)]
        return int(positions.max(initial=-1)) + 1

    # ---- adding

    def n_free(self) -> int:
        return len(self._free)

    def pages_needed(self, sequence: int, n_tokens: int) -> int:
        """How many free pages so many more tokens would take."""
        return self.pages_needed_by({sequence: (self.end(sequence), n_tokens)})

    def pages_needed_by(self, adding: Mapping[int, tuple[int, int]]) -> int:
        """How many pages sequences take that go on at a position, with so many tokens.

        What a window lets go of on the way is taken off.
        """
        users, needed = self._users.copy(), 0
        unseen = {s: self._unseen(s, position) for s, (position, _) in adding.items()}
        for pages in unseen.values():
            for page in pages:
                users[page] -= 1
                needed -= not users[page]
        for sequence, (_, n_tokens) in adding.items():
            holes = self._holes(sequence)
            rest = n_tokens
            if len(holes):
                n_holes = int(np.isin(holes // PAGE, unseen[sequence], invert=True).sum())
                rest -= min(n_tokens, n_holes)
            pages, length = self.pages(sequence), self.length(sequence)
            needed += -(-(length + rest) // PAGE) - len(pages)
            if rest and length % PAGE and users[pages[-1]] > 1:
                users[pages[-1]] -= 1
                needed += 1
        return needed

    def drop_unseen(self, sequence: int, position: int) -> None:
        """Free the pages that no query from this position on can see."""
        for page in self._unseen(sequence, position):
            last = self.positions[page * PAGE : (page + 1) * PAGE].max()
            self._dropped[sequence] = max(self.dropped(sequence), int(last) + 1)
            self._pages[sequence].remove(page)
            self._release(page)
            self._lengths[sequence] -= PAGE

    def _unseen(self, sequence: int, position: int) -> list[int]:
        """The full pages that no query from this position on can see."""
        pages = self.pages(sequence)[:-1]
        if self.window is None or not pages:
            return []
        before = position - self.window - ROLLBACK
        unseen = []
        for page in pages:
            if self.positions[page * PAGE : (page + 1) * PAGE].max() < before:
                unseen.append(page)
            elif sequence not in self._uneven:
                break  # those that follow are newer
        return unseen

    def add(self, sequence: int, positions: Sequence[int]) -> tuple[Cells, Copies]:
        """Cells for new tokens, and the pages whose cells must be copied first."""
        pages = self._pages.setdefault(sequence, [])
        length = self.length(sequence)
        holes = self._holes(sequence)[: len(positions)]
        rest = len(positions) - len(holes)
        copies = []
        if rest and length % PAGE and self._users[pages[-1]] > 1:
            copies.append(self._make_own(sequence, len(pages) - 1))
        while len(pages) * PAGE < length + rest:
            pages.append(self._take())
        self._lengths[sequence] = length + rest
        slots = self.cells(sequence)[length:]
        if len(holes):
            slots = np.concatenate([holes, slots])
        self.positions[slots] = positions
        return slots, copies

    def _holes(self, sequence: int) -> Cells:
        """Free cells between others, in pages that nobody else uses."""
        if sequence not in self._uneven:
            return np.empty(0, np.int32)
        cells = self.cells(sequence)
        return cells[(self.positions[cells] < 0) & (self._users[cells // PAGE] == 1)]

    # ---- removing

    def check_remove(self, sequence: int, start: int, stop: int) -> None:
        """Refuse to go back to where a window no longer reaches, or to copy without a free page."""
        self._check_reach(sequence, start, stop)
        self._check_copies(sequence, self._split_pages(sequence, start, stop))

    def _check_reach(self, sequence: int, start: int, stop: int) -> None:
        """Refuse to go back to a position whose window was let go of."""
        if self.window is None:
            return
        end, dropped = self.end(sequence), self.dropped(sequence)
        is_tail = start < max(end, dropped) and stop >= end
        if is_tail and max(0, start - self.window + 1) < dropped:
            raise UnsupportedError(
                f"sequence {sequence} cannot go back to position {start}: its window of "
                f"{self.window} has moved on; remove all of it and compute it again"
            )

    def remove(self, sequence: int, start: int, stop: int) -> Copies:
        """Forget the positions from start up to stop; returns the pages to copy first."""
        self.check_remove(sequence, start, stop)
        at = self.positions[self.cells(sequence)]
        gone = (at >= start) & (at < stop)
        if not gone.any():
            return []
        kept = (at >= 0) & ~gone
        places = np.flatnonzero(kept)
        self._shorten(sequence, int(places[-1]) + 1 if len(places) else 0)
        pages, copies = self.pages(sequence), []
        for index in reversed(range(len(pages))):
            part = slice(index * PAGE, min((index + 1) * PAGE, self.length(sequence)))
            if not gone[part].any():
                continue
            self._uneven.add(sequence)
            if not kept[part].any():  # never the last page, whose last cell is kept
                self._release(pages.pop(index))
                self._lengths[sequence] -= PAGE
                continue
            if self._users[pages[index]] > 1:
                copies.append(self._make_own(sequence, index))
            self.positions[pages[index] * PAGE + np.flatnonzero(gone[part])] = -1
        return copies

    def _split_pages(self, sequence: int, start: int, stop: int) -> list[int]:
        """Pages that are used on, and have cells in this range before the last one that is kept."""
        cells = self.cells(sequence)
        at = self.positions[cells]
        gone = (at >= start) & (at < stop)
        places = np.flatnonzero((at >= 0) & ~gone)
        kept = set((places // PAGE).tolist())
        last = int(places[-1]) if len(places) else -1
        return sorted(kept & set((np.flatnonzero(gone[: last + 1]) // PAGE).tolist()))

    def drop(self, sequence: int) -> None:
        """Forget a sequence."""
        for page in self._pages.pop(sequence, []):
            self._release(page)
        self._lengths.pop(sequence, None)
        self._dropped.pop(sequence, None)
        self._uneven.discard(sequence)

    # ---- sharing and moving

    def check_copy(self, source: int, stop: int) -> None:
        """Refuse a part that its window no longer reaches, or that takes pages that are not free.

        Everything is shared then, so that a page which is only partly wanted is copied.
        """
        self._check_reach(source, stop, END)
        split = len(self._split_pages(source, stop, END))
        if split > len(self._free):
            raise UnsupportedError(
                f"a part of sequence {source} takes {split} pages of its own, and "
                f"{len(self._free)} are free: remove a sequence, or make the cache larger"
            )

    def copy(self, source: int, target: int) -> None:
        """Let target remember what source does, on the same pages."""
        self.drop(target)
        pages = list(self.pages(source))
        np.add.at(self._users, pages, 1)
        self._pages[target], self._lengths[target] = pages, self.length(source)
        self._dropped[target] = self.dropped(source)
        if source in self._uneven:
            self._uneven.add(target)

    def check_shift(self, sequence: int, start: int, stop: int, by: int) -> None:
        """Refuse positions below 0, two tokens at one position, or to copy without a free page."""
        at = self.positions[self.cells(sequence)]
        moved = (at >= start) & (at < stop)
        there = at[moved] + by
        if (there < 0).any():
            raise ShapeError(
                f"position {int(at[moved].min())} of sequence {sequence} cannot move by {by}: "
                f"positions begin with 0; remove the first ones before"
            )
        taken = np.intersect1d(there, at[~moved & (at >= 0)])
        if len(taken):
            raise ShapeError(
                f"sequence {sequence} remembers position {int(taken[0])} already, and another one "
                f"would move there: remove it first"
            )
        self._check_copies(sequence, np.unique(np.flatnonzero(moved) // PAGE).tolist())

    def shift(self, sequence: int, start: int, stop: int, by: int) -> tuple[Cells, Copies]:
        """Move positions; returns the cells that moved, and the pages to copy first."""
        self.check_shift(sequence, start, stop, by)
        at = self.positions[self.cells(sequence)]
        moved = (at >= start) & (at < stop)
        copies = [
            self._make_own(sequence, index)
            for index in np.unique(np.flatnonzero(moved) // PAGE).tolist()
            if self._users[self.pages(sequence)[index]] > 1
        ]
        cells = self.cells(sequence)[moved]
        self.positions[cells] += by
        if len(cells) and start <= self.dropped(sequence) - 1 < stop:
            self._dropped[sequence] = max(0, self.dropped(sequence) + by)
        self._uneven.add(sequence)
        return cells, copies

    def restore(self, sequence: int, positions: Sequence[int], dropped: int) -> Cells:
        """Cells for a sequence that was saved; it is forgotten first."""
        self.drop(sequence)
        cells, _ = self.add(sequence, positions)
        self._dropped[sequence] = dropped
        self._uneven.add(sequence)
        return cells

    def own(self, sequence: int) -> Copies:
        """Stop sharing: afterwards no other sequence uses these pages. Returns those to copy."""
        indices = list(range(len(self.pages(sequence))))
        self._check_copies(sequence, indices)
        return [
            self._make_own(sequence, index)
            for index in indices
            if self._users[self.pages(sequence)[index]] > 1
        ]

    def upload(self) -> None:
        """Tell the backend all positions, after a change that was not made by a step."""
        self.backend.write(self.cell_positions.buffer, self.positions)

    # ---- pages

    @staticmethod
    def pages_for(n_cells: int) -> int:
        """How many pages so many cells take."""
        return -(-n_cells // PAGE)

    def n_free_without(self, sequence: int) -> int:
        """How many pages would be free if this sequence were forgotten."""
        return len(self._free) + sum(self._users[page] == 1 for page in self.pages(sequence))

    def _check_copies(self, sequence: int, indices: Sequence[int]) -> None:
        """Refuse if too few pages are free to copy the shared ones among these."""
        shared = sum(self._users[self.pages(sequence)[index]] > 1 for index in indices)
        if shared > len(self._free):
            raise UnsupportedError(
                f"sequence {sequence} shares {shared} pages that would have to be copied, and "
                f"{len(self._free)} are free: remove a sequence, or make the cache larger"
            )

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
        """Replace a shared page by a copy of it. That one is free has been checked."""
        shared = self._pages[sequence][at]
        own = self._take()
        self.positions[own * PAGE : (own + 1) * PAGE] = self.positions[
            shared * PAGE : (shared + 1) * PAGE
        ]
        self._release(shared)
        self._pages[sequence][at] = own
        return shared, own

    def _shorten(self, sequence: int, length: int) -> None:
        """Use only the first cells; those behind them are free, but where others use them, too."""
        pages = self.pages(sequence)
        while len(pages) * PAGE >= length + PAGE:
            self._release(pages.pop())
        self._lengths[sequence] = length
        if pages and length % PAGE and self._users[pages[-1]] == 1:
            self.positions[pages[-1] * PAGE + length % PAGE : (pages[-1] + 1) * PAGE] = -1
