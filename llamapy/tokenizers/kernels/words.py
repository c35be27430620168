"""Words of a text, each spelled with the longest tokens from left to right."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel
from .characters import whole_length
from .trie import step

# what a character does, in the bits above the code point that it becomes
LETTER, SPACE, SKIPPED, ALONE = range(4)
WHAT_SHIFT = np.uint32(24)
POINT_MASK = np.uint32((1 << 24) - 1)


@numba.njit(nogil=True)
def point_at(text, start, length):
    """The code point of a character of so many bytes."""
    if length == 1:
        return np.int64(text[start])
    point = np.int64(text[start]) & (0x7F >> length)
    for position in range(start + 1, start + length):
        point = (point << 6) | np.int64(text[position] & 0x3F)
    return point


@numba.njit(nogil=True)
def put(word, size, point):
    """Writes a code point as UTF-8; returns where it ends."""
    if point < 0x80:
        word[size] = point
        return size + 1
    length = 2 if point < 0x800 else 3 if point < 0x10000 else 4
    word[size] = ((0xF00 >> length) & 0xFF) | (point >> (6 * (length - 1)))
    for offset in range(1, length):
        word[size + offset] = 0x80 | ((point >> (6 * (length - 1 - offset))) & 0x3F)
    return size + length


@numba.njit(nogil=True)
def spell(word, size, too_long, edges, value_at, unknown, out, written):
    """Puts out the tokens of a word, or the unknown one if they do not make all of it."""
    start = written
    if too_long:
        out[start] = unknown
        return start + 1
    here = 0
    while here < size:
        node, end = 0, here
        for position in range(here, size):
            node = step(edges, node, word[position])
            if node == 0:
                break
            if value_at[node] >= 0:
                end = position + 1
                out[written] = value_at[node]
        if end == here:
            out[start] = unknown
            return start + 1
        written += 1
        here = end
    return written


@kernel
def spell_words(text, becomes, edges, value_at, unknown, mark, longest, out):
    """The tokens of a text; returns how many. `mark` stands before each word, and words of more
    than `longest` characters are unknown.
    """
    word = np.empty(2 * text.size + 16, np.uint8)
    word[: mark.size] = mark
    size = mark.size
    letters = 0
    written = 0
    position = 0
    while position < text.size:
        length = whole_length(text, position)
        if length == 0:  # half a character
            position += 1
            continue
        point = point_at(text, position, length)
        position += length
        if point >= becomes.size:
            continue
        what, point = becomes[point] >> WHAT_SHIFT, becomes[point] & POINT_MASK
        if what == SKIPPED:
            continue
        if what != LETTER and size > mark.size:
            written = spell(word, size, letters > longest, edges, value_at, unknown, out, written)
            size, letters = mark.size, 0
        if what != SPACE:
            size = put(word, size, point)
            letters += 1
        if what == ALONE:
            written = spell(word, size, letters > longest, edges, value_at, unknown, out, written)
            size, letters = mark.size, 0
    if size > mark.size:
        written = spell(word, size, letters > longest, edges, value_at, unknown, out, written)
    return written
