"""Memory for weights: a large matrix begins where a large page does.

A page of 2 MB is translated as quickly as one of 4 KB. But memory has large pages only where it
reaches from one of their multiples to the next. So a matrix has them from its first byte on, and
none beyond its last, which would cost what nobody asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import weakref

import numpy as np
from numpy.typing import NDArray

from .kernel import aligned_bytes

LARGE = 1 << 21  # bytes of a large page; less than one is memory like any other
# so that memory which Python did not hand out is counted by tracemalloc, too
_DOMAIN = int.from_bytes(b"LLMA", "little")
_track, _untrack = ctypes.pythonapi.PyTraceMalloc_Track, ctypes.pythonapi.PyTraceMalloc_Untrack
_track.argtypes = ctypes.c_uint, ctypes.c_size_t, ctypes.c_size_t
_untrack.argtypes = ctypes.c_uint, ctypes.c_size_t


def weight_bytes(count: int) -> NDArray[np.uint8]:
    """Zeroed bytes from a multiple of 64 on, which are given back with the array."""
    if count < LARGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return aligned_bytes(count)
    return _on_large_pages(count)


def _on_large_pages(count: int) -> NDArray[np.uint8]:
    # what is mapped and not written to takes nothing: that before the first page, and after the end
    room = mmap.mmap(-1, count + LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    whole = np.frombuffer(room, np.uint8)
    start = -whole.ctypes.data % LARGE
    found = whole[start : start + count]
    with contextlib.suppress(OSError):  # a system without them is as right
        room.madvise(mmap.MADV_HUGEPAGE, start, -(-count // mmap.PAGESIZE) * mmap.PAGESIZE)
    address = found.ctypes.data
    _track(_DOMAIN, address, count)
    weakref.finalize(room, _untrack, _DOMAIN, address).atexit = False
    return found
