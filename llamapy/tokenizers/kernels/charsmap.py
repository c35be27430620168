"""SentencePiece's table of characters to replace: an XOR-compressed double array, and its walk."""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel
from .characters import whole_length
from .trie import step

LABEL = np.uint32(0x800000FF)
LEAF = np.uint32(1 << 8)
WIDE = np.uint32(1 << 9)
VALUE = np.uint32(0x7FFFFFFF)
BASE_SHIFT = np.uint32(10)

BROKEN = -1


@numba.njit(nogil=True)
def base_of(unit):
    shift = np.uint32(8) if unit & WIDE else np.uint32(0)
    return np.int64((unit >> BASE_SHIFT) << shift)


@numba.njit(nogil=True)
def replaced(units, text, start):
    """Of the longest entry that stands here, its length and where its replacement is.

    (0, 0) if there is none, (BROKEN, 0) if the table leads out of itself.
    """
    length, where = 0, np.int64(0)
    if units.size == 0:
        return length, where
    node = base_of(units[0])
    for position in range(start, text.size):
        byte = text[position]
        node ^= np.int64(byte)
        if byte == 0:
            break
        if node >= units.size:
            return BROKEN, 0
        unit = units[node]
        if unit & LABEL != byte:
            break
        node ^= base_of(unit)
        if unit & LEAF:
            if node >= units.size:
                return BROKEN, 0
            length, where = position - start + 1, np.int64(units[node] & VALUE)
    return length, where


@numba.njit(nogil=True)
def kept_length(edges, text, start):
    """How far the text here is the beginning of some user-defined token, which stays as it is."""
    node = 0
    for position in range(start, text.size):
        node = step(edges, node, text[position])
        if node == 0:
            return position - start
    return text.size - start


@numba.njit(nogil=True)
def larger(out, needed):
    if needed <= out.size:
        return out
    more = np.empty(2 * needed, np.uint8)
    more[: out.size] = out
    return more


@kernel
def normalize(text, units, replacements, kept_edges, space, prefix, suffix, merges_spaces):
    """The text with its characters replaced and spaces as `space`; and its length, or BROKEN.

    `prefix`: a space stands before the first word, `suffix`: behind the text, `merges_spaces`:
    exactly one stands before each word.
    """
    out = np.empty(text.size + text.size // 2 + 64, np.uint8)
    invalid = np.array([0xEF, 0xBF, 0xBD], np.uint8)
    written = 0
    in_word, prefixed = False, False
    position = 0
    while position < text.size:
        source, start = text, position
        length = consumed = kept_length(kept_edges, text, position)
        if length == 0:
            consumed, start = replaced(units, text, position)
            if consumed == BROKEN or start > replacements.size:
                return out, BROKEN
            if consumed > 0:
                source = replacements
                while start + length < replacements.size and replacements[start + length] != 0:
                    length += 1
                if start + length == replacements.size:
                    return out, BROKEN
            else:
                start = position
                length = consumed = whole_length(text, position)
                if length == 0:
                    source, start, length, consumed = invalid, 0, 3, 1
        out = larger(out, written + (length + 2) * space.size)
        for offset in range(length):
            byte = source[start + offset]
            if byte == 0x20:
                in_word = False
                if not merges_spaces:
                    out[written : written + space.size] = space
                    written += space.size
                continue
            if not in_word:
                in_word = True
                if merges_spaces or (prefix and not prefixed):
                    out[written : written + space.size] = space
                    written += space.size
                    prefixed = True
            out[written] = byte
            written += 1
        position += consumed
    if suffix:
        out = larger(out, written + space.size)
        out[written : written + space.size] = space
        written += space.size
    return out, written
