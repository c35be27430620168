"""Characters of UTF-8, and between which of them a text may be cut."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel

LEFT_HASH = np.uint64(0x9E3779B97F4A7C15)
RIGHT_HASH = np.uint64(0xC2B2AE3D27D4EB4F)
PAIR_SHIFT = np.uint64(42)  # leaves 22 bits
PAIR_WORDS = (1 << 22) // 8


@numba.njit(nogil=True)
def length_at(text, position):
    """How many bytes the character here has, as its first byte says, and as there are."""
    first = text[position]
    if first < 0xC0:
        return 1
    length = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    return min(length, text.size - position)


@numba.njit(nogil=True)
def whole_length(text, start):
    """The length of the whole character here, or 0."""
    first = text[start]
    if first < 0x80:
        return 1
    if first < 0xC0 or first >= 0xF8:
        return 0
    length = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    if start + length > text.size:
        return 0
    for position in range(start + 1, start + length):
        if text[position] & 0xC0 != 0x80:
            return 0
    return length


@numba.njit(nogil=True)
def character_at(text, position, length):
    """The bytes of a character as one number."""
    value = np.uint64(0)
    for offset in range(length):
        value = (value << np.uint64(8)) | np.uint64(text[position + offset])
    return value


@numba.njit(nogil=True)
def pair_slot(left, right):
    mixed = left * LEFT_HASH ^ (right + np.uint64(1)) * RIGHT_HASH
    mixed ^= mixed >> np.uint64(29)
    return mixed * LEFT_HASH >> PAIR_SHIFT


@kernel
def pairs_of(text, ends):
    """Bits that say which characters stand side by side in some token; a few more may be set."""
    bits = np.zeros(PAIR_WORDS, np.uint8)
    start = 0
    for end in ends:
        position = start
        left = np.uint64(0)
        while position < end:
            length = min(length_at(text, position), end - position)
            right = character_at(text, position, length)
            if position > start:
                slot = pair_slot(left, right)
                bits[slot >> np.uint64(3)] |= np.uint8(1 << np.int64(slot & np.uint64(7)))
            left = right
            position += length
        start = end
    return bits


@numba.njit(nogil=True)
def in_one_token(bits, left, right):
    """Whether some token may have these two characters side by side."""
    slot = pair_slot(left, right)
    return (bits[slot >> np.uint64(3)] >> np.int64(slot & np.uint64(7))) & 1


@numba.njit(nogil=True)
def next_cut(bits, text, start):
    """Where the text from `start` on can be cut first: no token goes across."""
    length = length_at(text, start)
    left = character_at(text, start, length)
    position = start + length
    while position < text.size:
        length = length_at(text, position)
        right = character_at(text, position, length)
        if not in_one_token(bits, left, right):
            break
        left = right
        position += length
    return position
