"""Memory for weights: on large pages, counted, and given back."""

from __future__ import annotations

import mmap
import sys
import tracemalloc

import numpy as np
import pytest

from llamapy.backends.cpu.large_pages import LARGE, weight_bytes

there = pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="there are no large pages")


@pytest.mark.parametrize("count", [1, 7, 4096, LARGE - 1, LARGE, 3 * LARGE + 4097])
def test_it_is_zeros_to_be_written_to(count):
    room = weight_bytes(count)
    assert (room.size, room.dtype) == (count, np.uint8)
    assert room.ctypes.data % 64 == 0
    assert not room.any()
    room[:] = 255
    assert room.all()


@there
@pytest.mark.parametrize("count", [LARGE, 3 * LARGE + 4097])
def test_a_large_matrix_begins_with_a_large_page(count):
    assert weight_bytes(count).ctypes.data % LARGE == 0


@pytest.mark.parametrize("count", [LARGE // 2, 5 * LARGE + 100])
def test_it_is_counted_as_long_as_it_lives(count):
    tracemalloc.start()
    try:
        room = weight_bytes(count)
        part = room[count // 2 :]
        assert tracemalloc.get_traced_memory()[0] == pytest.approx(count, rel=0.01)
        del room
        assert tracemalloc.get_traced_memory()[0] >= count
        del part
        assert tracemalloc.get_traced_memory()[0] < 64 << 10
    finally:
        tracemalloc.stop()


@there
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_more_is_taken_than_what_was_asked_for():
    """Neither before the first page nor after the end, and nothing once it is gone."""
    before = _resident()
    rooms = [weight_bytes(LARGE + 4096) for _ in range(16)]
    for room in rooms:
        room[:] = 1
    taken = _resident() - before
    assert 16 * LARGE <= taken < 16 * LARGE + (4 << 20)
    del room, rooms
    assert _resident() - before < 4 << 20


def _resident():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("Rss"))
