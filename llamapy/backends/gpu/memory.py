"""Memory of a device: pieces, which a pool keeps when nobody needs them, and what is seen in them.

All work of a backend is done in the order in which it was launched, so that a piece may be given
to somebody else while a kernel that reads it still waits: what writes into it comes later.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from ...tensor import DType

if TYPE_CHECKING:
    from .device import Device

SMALLEST = 256  # bytes
STEPS = 8  # sizes between a power of two and the next: at most an eighth is lost


class Piece:
    """A piece of memory. It goes back to its pool with the last that refers to it."""

    __slots__ = ("__weakref__", "_pool", "handle", "n_bytes")

    def __init__(self, pool: Pool, handle: Any, n_bytes: int) -> None:
        self._pool, self.handle, self.n_bytes = pool, handle, n_bytes

    def __del__(self) -> None:
        self._pool.give(self.handle, self.n_bytes)


class Pool:
    """Keeps pieces that nobody uses for those who ask for such a size next.

    When no piece is in use any more, as after a model is closed, the device gets all of them back.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._free: dict[int, list[Any]] = {}
        self._scratch: list[tuple[Any, int]] = []  # the last is the largest
        self._lock = threading.RLock()  # a piece may die while another one is taken
        self._in_use = 0
        self.n_bytes = 0  # of all pieces, in use or kept

    def take(self, n_bytes: int) -> Piece:
        """A piece of at least this size, whatever it holds."""
        size = rounded(n_bytes)
        with self._lock:
            free = self._free.get(size)
            handle = free.pop() if free else self._new(size)
            self._in_use += 1
        return Piece(self, handle, size)

    def scratch(self, n_bytes: int) -> Any:
        """Memory for what one operation's kernels tell each other: the same for all operations.

        Plans remember it, and so it stays when a larger one is needed.
        """
        with self._lock:
            if not self._scratch or self._scratch[-1][1] < n_bytes:
                size = rounded(2 * n_bytes)
                self._scratch.append((self._new(size), size))
            return self._scratch[-1][0]

    def give(self, handle: Any, size: int) -> None:
        """Take back a piece that nobody uses any more."""
        with self._lock:
            self._free.setdefault(size, []).append(handle)
            self._in_use -= 1
            if not self._in_use:
                self.trim()
                for each, n_bytes in self._scratch:
                    self._release(each, n_bytes)
                self._scratch.clear()

    def trim(self) -> None:
        """Give what nobody uses back to the device."""
        with self._lock:
            for size, handles in self._free.items():
                for handle in handles:
                    self._release(handle, size)
            self._free.clear()

    def _new(self, size: int) -> Any:
        if not self._device.has_room(self.n_bytes + size):
            self.trim()
        handle = self._device.allocate(size, self.n_bytes)
        self.n_bytes += size
        return handle

    def _release(self, handle: Any, size: int) -> None:
        self._device.release(handle)
        self.n_bytes -= size


def rounded(n_bytes: int) -> int:
    """The size of the piece that is taken for so many bytes."""
    if n_bytes <= SMALLEST:
        return SMALLEST
    step = max(SMALLEST, 1 << max(0, (n_bytes - 1).bit_length() - STEPS.bit_length()))
    return -(-n_bytes // step) * step


class Buffer:
    """A piece as numbers, or as the rows of a block format; the shape counts values."""

    __slots__ = ("dtype", "piece", "shape")

    def __init__(self, piece: Piece, shape: tuple[int, ...], dtype: DType) -> None:
        self.piece, self.shape, self.dtype = piece, tuple(shape), dtype

    @property
    def handle(self) -> Any:
        return self.piece.handle

    @property
    def format(self) -> str:
        """The name of the block format; plain numbers are F32."""
        return self.dtype.name if isinstance(self.dtype, type) else "F32"

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def raw(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """The shape and type of the array that holds the same bytes on the host."""
        return raw_form(self.shape, self.dtype)


def raw_form(shape: tuple[int, ...], dtype: DType) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and type of an array of these numbers, or of the bytes of these rows."""
    if isinstance(dtype, type):
        return (*shape[:-1], dtype.row_bytes(shape[-1])), np.dtype(np.uint8)
    return tuple(shape), dtype


def n_bytes_of(shape: tuple[int, ...], dtype: DType) -> int:
    """What these numbers, or these rows, take."""
    shape, raw = raw_form(shape, dtype)
    return math.prod(shape) * raw.itemsize
