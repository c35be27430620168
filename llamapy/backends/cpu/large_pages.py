"""Memory for weights: matrices side by side, so that large pages hold several of them.

A page of 2 MB is translated as quickly as one of 4 KB. But memory has large pages only where it
reaches from one of their multiples to the next, and a matrix of a few MB seldom does.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernel import aligned_bytes

# what is taken at a time; no part of it costs anything before it is written to
SHARED = 1 << 27
# from here on a matrix is by itself
LARGE = SHARED // 8

_lock = threading.Lock()
_owner: weakref.ref[Any] | None = None  # of the memory that is being filled
_free: tuple[int, int] = 0, 0  # what is left of it: from where to where, in bytes from its start


def weight_bytes(count: int) -> NDArray[np.uint8]:
    """Zeroed bytes from a multiple of 64 on, to be kept as long as the model is."""
    global _owner, _free
    if count >= LARGE:
        return aligned_bytes(count)
    with _lock:
        owner = None if _owner is None else _owner()
        begin, end = _free
        if owner is None or end - begin < count:
            fresh = aligned_bytes(SHARED)
            owner = fresh.base
            begin = fresh.ctypes.data - owner.ctypes.data
            end = begin + SHARED
            _owner = weakref.ref(owner)
        _free = begin + -(-count // 64) * 64, end
        found: NDArray[np.uint8] = owner[begin : begin + count]
        return found
