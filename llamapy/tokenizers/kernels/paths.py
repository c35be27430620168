"""Longest tokens first, and PLaMo's cheapest way through a text."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from .characters import length_at
from .trie import step


@kernel
def longest_first(text, edges, value_at, out):
    """The longest token at each place, from left to right; returns how many.

    -1 in `out` is a byte with which no token begins, -2 one with which some do, but none that
    stands here.
    """
    written = 0
    here = 0
    while here < text.size:
        node, end, id = 0, here + 1, -1
        for position in range(here, text.size):
            node = step(edges, node, text[position])
            if node == 0:
                break
            if id == -1:
                id = -2
            if value_at[node] >= 0:
                end, id = position + 1, value_at[node]
        out[written] = id
        written += 1
        here = end
    return written


@kernel
def cheapest(text, edges, value_at, gains, unknown_gain, byte_ids, out):
    """The tokens that gain the most together, found from the end; returns how many.

    Of equal ones the longer token wins. A character that is in no token is spelled in bytes.
    """
    best = np.empty(text.size + 1, np.int64)
    ends = np.empty(text.size + 1, np.int64)
    token = np.empty(text.size + 1, np.int32)
    best[text.size] = 0
    here = text.size
    while here > 0:
        here -= 1
        while here > 0 and text[here] & 0xC0 == 0x80:
            here -= 1
        best[here] = np.iinfo(np.int64).min
        node = 0
        for position in range(here, text.size):
            node = step(edges, node, text[position])
            if node == 0:
                break
            id = value_at[node]
            if id >= 0 and best[position + 1] + gains[id] >= best[here]:
                best[here] = best[position + 1] + gains[id]
                ends[here], token[here] = position + 1, id
        end = here + length_at(text, here)
        if best[end] + unknown_gain > best[here]:
            best[here] = best[end] + unknown_gain
            ends[here], token[here] = end, -1

    written = 0
    here = 0
    while here < text.size:
        if token[here] >= 0:
            out[written] = token[here]
            written += 1
        else:
            for position in range(here, ends[here]):
                out[written] = byte_ids[text[position]]
                written += 1
        here = ends[here]
    return written
