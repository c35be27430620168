"""How far the host may be ahead of a device: what copies read from stays until they are done."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

COPIES = 32  # the inputs of a few steps: further ahead, somebody who stops would wait for long
LARGEST = 32 << 20  # bytes of a copy that is made aside; for a larger one the host waits
ROOM = 2 * LARGEST  # for all of them


class Ahead:
    """Copies that a device has yet to make, in order. The host waits for the first if it must."""

    def __init__(self) -> None:
        self.n_added = 0
        self._waits: deque[tuple[Callable[[], object], int]] = deque()
        self._n_bytes = 0
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._waits)

    def add(self, wait: Callable[[], object], n_bytes: int) -> None:
        """`wait` returns when a copy is done, and keeps what it reads from."""
        with self._lock:
            while self._waits and (len(self) >= COPIES or self._n_bytes + n_bytes > ROOM):
                self._waits[0][0]()
                self._forget_first()
            self._waits.append((wait, n_bytes))
            self._n_bytes += n_bytes
            self.n_added += 1

    def done(self, n: int) -> None:
        """The first n that were ever added are done."""
        with self._lock:
            while self._waits and self.n_added - len(self) < n:
                self._forget_first()

    def _forget_first(self) -> None:
        _, n_bytes = self._waits.popleft()
        self._n_bytes -= n_bytes
