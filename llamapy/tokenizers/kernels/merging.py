"""SentencePiece's pair encoding: of all neighbours that make a token, the best merge first."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel
from .characters import length_at, next_cut
from .trie import step


@numba.njit(nogil=True)
def push(keys, ids, count, key, id):
    """Puts an entry into a heap of `count` entries, whose smallest key is on top."""
    here = count
    while here > 0:
        parent = (here - 1) >> 1
        if keys[parent] <= key:
            break
        keys[here], ids[here] = keys[parent], ids[parent]
        here = parent
    keys[here], ids[here] = key, id


@numba.njit(nogil=True)
def pop(keys, ids, count):
    """Takes the top off a heap of `count` entries; the caller has read it."""
    key, id = keys[count - 1], ids[count - 1]
    here = 0
    while True:
        child = 2 * here + 1
        if child >= count - 1:
            break
        if child + 1 < count - 1 and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[here], ids[here] = keys[child], ids[child]
        here = child
    keys[here], ids[here] = key, id


@numba.njit(nogil=True)
def walk(edges, node, text, start, end):
    """The node that these bytes lead to from another one, or 0."""
    for position in range(start, end):
        node = step(edges, node, text[position])
        if node == 0:
            break
    return node


@numba.njit(nogil=True)
def consider(left, edges, value_at, ranks, text, starts, nodes, right_of, count, heap, keys, ids):
    """Puts a symbol and its right neighbour into the heap if they make a token."""
    right = right_of[left]
    if nodes[left] <= 0 or right >= count:
        return heap
    node = walk(edges, nodes[left], text, starts[right], starts[right_of[right]])
    if node == 0 or value_at[node] < 0:
        return heap
    id = value_at[node]
    push(keys, ids, heap, (ranks[id] << 32) | left, id)
    return heap + 1


@numba.njit(nogil=True)
def spell(text, start, end, byte_ids, out, written):
    """A character that is no token: its bytes, or -1, once for many of them."""
    for position in range(start, end):
        if byte_ids[text[position]] < 0:
            if written == 0 or out[written - 1] != -1:
                out[written] = -1
                written += 1
            return written
    for position in range(start, end):
        out[written] = byte_ids[text[position]]
        written += 1
    return written


@kernel
def merge(text, edges, value_at, node_of, lengths, ranks, bits, byte_ids, out):
    """The tokens of a text; returns how many. -1 in `out` stands for characters without any.

    Tokens of smaller rank merge first, of equal rank the leftmost ones. `byte_ids` are the tokens
    that spell a character which is none.
    """
    size = 0
    starts, nodes = np.empty(1, np.int64), np.empty(0, np.int64)
    left_of, right_of = np.empty(0, np.int64), np.empty(0, np.int64)
    keys, ids = np.empty(0, np.int64), np.empty(0, np.int32)
    written = 0
    first = 0
    while first < text.size:
        last = next_cut(bits, text, first)
        if last - first > size:
            size = max(64, 2 * (last - first))
            starts, nodes = np.empty(size + 1, np.int64), np.empty(size, np.int64)
            left_of, right_of = np.empty(size, np.int64), np.empty(size, np.int64)
            keys, ids = np.empty(3 * size, np.int64), np.empty(3 * size, np.int32)

        # each character is a symbol; it ends where the one to its right starts
        count = 0
        position = first
        while position < last:
            length = length_at(text, position)
            starts[count] = position
            nodes[count] = walk(edges, 0, text, position, position + length)
            left_of[count] = count - 1
            right_of[count] = count + 1
            count += 1
            position += length
        starts[count] = last
        heap = 0
        for left in range(count - 1):
            heap = consider(
                left, edges, value_at, ranks, text, starts, nodes, right_of, count, heap, keys, ids
            )

        while heap > 0:
            left, id = keys[0] & 0xFFFFFFFF, ids[0]
            pop(keys, ids, heap)
            heap -= 1
            right = right_of[left]
            if nodes[left] < 0 or right >= count:
                continue  # merged away
            after = right_of[right]
            if starts[after] - starts[left] != lengths[id]:
                continue  # one of the two has grown since
            nodes[left] = node_of[id]
            nodes[right] = -1
            right_of[left] = after
            if after < count:
                left_of[after] = left
            heap = consider(
                left, edges, value_at, ranks, text, starts, nodes, right_of, count, heap, keys, ids
            )
            if left_of[left] >= 0:
                heap = consider(
                    left_of[left], edges, value_at, ranks, text, starts, nodes, right_of, count,
                    heap, keys, ids,
                )  # fmt: skip

        symbol = 0
        while symbol < count:
            after = right_of[symbol]
            if nodes[symbol] > 0 and value_at[nodes[symbol]] >= 0:
                out[written] = value_at[nodes[symbol]]
                written += 1
            else:
                written = spell(text, starts[symbol], starts[after], byte_ids, out, written)
            symbol = after
        first = last
    return written
