"""A trie over bytes: one hash table of all its edges.

An edge is one word: parent, byte and child. Node 0 is the root; no edge leads there, so 0 also
says that there is none.
"""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel

CHILD_BITS = np.uint64(24)
CHILD_MASK = np.uint64((1 << 24) - 1)
BYTE_BITS = np.uint64(8)
HASH = np.uint64(0x9E3779B97F4A7C15)
HASH_SHIFT = np.uint64(32)
MAX_NODES = (1 << 24) - 1


@numba.njit(nogil=True)
def place(edges, key):
    """Where in the table the edge with this key is, or would be."""
    mask = np.uint64(edges.size - 1)
    slot = ((key * HASH) >> HASH_SHIFT) & mask
    while edges[slot] != 0 and edges[slot] >> CHILD_BITS != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@numba.njit(nogil=True)
def step(edges, node, byte):
    """The node below this one along a byte, or 0."""
    key = (np.uint64(node) << BYTE_BITS) | np.uint64(byte)
    return np.int64(edges[place(edges, key)] & CHILD_MASK)


@numba.njit(nogil=True)
def doubled(edges):
    larger = np.zeros(edges.size * 2, np.uint64)
    for edge in edges:
        if edge != 0:
            larger[place(larger, edge >> CHILD_BITS)] = edge
    return larger


@kernel
def build(text, ends, values):
    """A trie of keys that lie one behind the other: its edges, and the value at each node or -1.

    The third result is each key's node; -1 there says that the trie has too many nodes.
    """
    size = 1 << 12
    while size < text.size:
        size *= 2
    edges = np.zeros(size, np.uint64)
    value_at = np.full(text.size + 1, -1, np.int32)
    node_of = np.zeros(ends.size, np.int32)
    count = 1
    start = 0
    for number in range(ends.size):
        node = np.int64(0)
        for position in range(start, ends[number]):
            key = (np.uint64(node) << BYTE_BITS) | np.uint64(text[position])
            slot = place(edges, key)
            if edges[slot] == 0:
                if count > MAX_NODES:
                    node_of[0] = -1
                    return edges, value_at[:1], node_of
                if count * 2 > edges.size:
                    edges = doubled(edges)
                    slot = place(edges, key)
                edges[slot] = (key << CHILD_BITS) | np.uint64(count)
                count += 1
            node = np.int64(edges[slot] & CHILD_MASK)
        value_at[node] = values[number]
        node_of[number] = node
        start = ends[number]
    return edges, value_at[:count].copy(), node_of
