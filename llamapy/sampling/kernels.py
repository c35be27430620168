"""The largest of many logits, compiled."""

from __future__ import annotations

import numpy as np

from ..heap import push, sink
from ..jit import float_bits, kernel

BLOCK = 64  # of logits, which are passed over together if none of them is large enough


@kernel
def largest_of(logits, found):
    """Fill `found` with the indices of the largest logits, largest first, of equal ones the first.

    There are more logits than are looked for. A heap keeps the best so far, the least of them on
    top; a logit's rank is in the upper half of a key, and below it how early it comes.
    """
    n = found.size
    heap = np.empty(n, np.int64)
    size = 0
    worst = np.float32(-np.inf)  # what to exceed, once there are enough
    for start in range(0, logits.size, BLOCK):
        end = min(start + BLOCK, logits.size)
        n_above = 0
        for i in range(start, end):
            n_above += logits[i] > worst
        if size == n and n_above == 0:
            continue
        for i in range(start, end):
            bits = np.int32(float_bits(logits[i] + np.float32(0)))  # -0 is 0
            rank = np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))
            key = (np.int64(rank) << 32) | (0xFFFFFFFF - i)
            if size < n:
                size = push(heap, size, key)
            elif key > heap[0]:
                sink(heap, n, key)
        worst = logits[0xFFFFFFFF - (heap[0] & 0xFFFFFFFF)]
    while size > 0:
        size -= 1
        found[size] = 0xFFFFFFFF - (heap[0] & 0xFFFFFFFF)
        sink(heap, size, heap[size])
