"""Compiled walk over a text that finds its words, for any pattern that is a table."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel


@kernel
def scan(points, ends, classes, moves, found):
    """Write where words end; how many there are, and how many steps it took."""
    count = numba.int64(0)
    steps = numba.int64(0)
    at_end = moves.shape[1] - 1
    start = numba.int64(0)
    for end in ends:
        # The state that led to nothing, and where it did: whoever comes there in that state again
        # can stop. Without it a run of white space would be walked from each of its characters.
        futile, futile_from, futile_to = 0, start, start
        begin = start  # of what matched nothing
        while start < end:
            state, since = 1, start
            at, last = start, start
            while True:
                steps += 1
                kind = classes[points[at]] if at < end else at_end
                move = moves[state, kind]
                if move & 1:
                    last = at
                target = move >> 1
                if target == 0:
                    if since > last:
                        futile, futile_from, futile_to = state, since, at
                    break
                at += 1
                if target != state:
                    state, since = target, at
                    if state == futile and futile_from <= at <= futile_to:
                        break
            if last == start:
                start += 1
                continue
            if begin < start:
                found[count] = start
                count += 1
            found[count] = last
            count += 1
            start = begin = last
        if begin < end:
            found[count] = end
            count += 1
    return count, steps


@kernel
def byte_ends(points, ends):
    """Where words end among the bytes of UTF-8, which end there among the characters."""
    found = np.empty(ends.size, np.int64)
    at = count = numba.int64(0)
    for word in range(ends.size):
        while at < ends[word]:
            point = points[at]
            count += 1 + (point >= 0x80) + (point >= 0x800) + (point >= 0x10000)
            at += 1
        found[word] = count
    return found
