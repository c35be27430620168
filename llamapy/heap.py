"""Heaps of numbers for kernels: the least lies on top, in `heap[0]`."""

from __future__ import annotations

import numba


@numba.njit(nogil=True)
def push(heap, size, key):
    """Add a key to those that there are; how many there are then."""
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if heap[above] <= key:
            break
        heap[at] = heap[above]
        at = above
    heap[at] = key
    return size + 1


@numba.njit(nogil=True)
def sink(heap, size, key):
    """Put a key in the place of the least one."""
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and heap[below + 1] < heap[below]:
            below += 1
        if heap[below] >= key:
            break
        heap[at] = heap[below]
        at = below
    if size > 0:
        heap[at] = key
