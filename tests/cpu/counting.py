"""Kernels that show what was done, how often, and by whom."""

from __future__ import annotations

from llamapy.backends.cpu.kernel import kernel
from llamapy.backends.cpu.simd import load_i64, store_i64


@kernel("test_count")
def count(seen, factor, first, last, thread):
    """seen[k] = seen[k] * factor + 1: shows order, and what is done twice."""
    for k in range(first, last):
        store_i64(seen + 8 * k, load_i64(seen + 8 * k) * factor + 1)


@kernel("test_where")
def where(threads, room, room_size, first, last, thread):
    for k in range(first, last):
        at = room + thread * room_size
        store_i64(at, k)
        for _ in range(2000):
            store_i64(at, load_i64(at))
        store_i64(threads + 8 * k, load_i64(at))
