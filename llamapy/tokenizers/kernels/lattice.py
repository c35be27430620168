"""The likeliest way to spell a text with tokens: the best path through all that stand in it."""

from __future__ import annotations

import numpy as np

from ...jit import kernel
from .characters import length_at, next_cut
from .trie import step


@kernel
def best_path(text, edges, value_at, scores, bits, unknown_score, byte_ids, out):
    """Token ids from left to right; returns how many. -1 stands for unknown characters in a row,
    or `byte_ids`, where there are any, for their bytes.

    Scores are sums in double precision; of equal ones the longer last token wins.
    """
    size = 0
    best = np.empty(0)
    back = np.empty(0, np.int64)
    token = np.empty(0, np.int32)
    written = 0
    first = 0
    while first < text.size:
        last = next_cut(bits, text, first)
        if last - first >= size:
            size = max(64, 2 * (last - first))
            best, back, token = np.empty(size), np.empty(size, np.int64), np.empty(size, np.int32)
        best[: last - first + 1] = -np.inf
        best[0] = 0
        here = first
        while here < last:
            length = length_at(text, here)
            score = best[here - first]
            alone = False
            node = 0
            for position in range(here, last):
                node = step(edges, node, text[position])
                if node == 0:
                    break
                id = value_at[node]
                if id >= 0:
                    end = position + 1
                    alone = alone or end - here == length
                    challenger = score + scores[id]
                    if challenger > best[end - first]:
                        best[end - first] = challenger
                        back[end - first] = here
                        token[end - first] = id
            end = min(here + length, last)
            if not alone and score + unknown_score > best[end - first]:
                best[end - first] = score + unknown_score
                back[end - first] = here
                token[end - first] = -1
            here = end

        # backwards, then turned around
        start = written
        here = last
        while here > first:
            id = token[here - first]
            if id < 0 and byte_ids[0] >= 0:
                for position in range(here - 1, back[here - first] - 1, -1):
                    out[written] = byte_ids[text[position]]
                    written += 1
            elif id >= 0 or written == start or out[written - 1] != -1:
                out[written] = id
                written += 1
            here = back[here - first]
        left, right = start, written - 1
        while left < right:
            out[left], out[right] = out[right], out[left]
            left += 1
            right -= 1
        if start > 0 and written > start and out[start] == -1 and out[start - 1] == -1:
            for place in range(start + 1, written):
                out[place - 1] = out[place]
            written -= 1
        first = last
    return written
