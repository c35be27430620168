"""Lowercase letters, and letters without their accents: tables over all code points."""

from __future__ import annotations

import functools
import unicodedata

import numpy as np
from numpy.typing import NDArray

from .unicode import N_CODE_POINTS, UNDEFINED, categories

# Hangul syllables are made by rule: each first consonant begins so many of them
SYLLABLES, PER_CONSONANT, CONSONANTS = slice(0xAC00, 0xD7A4), 588, 0x1100
LAST_CASED, LAST_COMPOSED = 0x20000, 0x30000


@functools.cache
def lowercase() -> NDArray[np.uint32]:
    """Each code point's lowercase letter, or itself."""
    # that of U+0130 is two characters, of which the second is its dot
    letters = [ord(chr(point).lower()[0]) for point in range(LAST_CASED)]
    return _where_defined(letters)


@functools.cache
def without_accent() -> NDArray[np.uint32]:
    """The first code point of each one's canonical decomposition."""
    first = list(range(LAST_COMPOSED))
    first[SYLLABLES] = [
        CONSONANTS + number // PER_CONSONANT for number in range(SYLLABLES.stop - SYLLABLES.start)
    ]
    for point, character in enumerate(map(chr, range(LAST_COMPOSED))):
        if unicodedata.decomposition(character):
            first[point] = ord(unicodedata.normalize("NFD", character)[0])
    return _where_defined(first)


def _where_defined(values: list[int]) -> NDArray[np.uint32]:
    """The values, but for characters that a later Unicode than ours may have: those as they are."""
    found = np.arange(N_CODE_POINTS, dtype=np.uint32)
    known = np.flatnonzero(categories()[: len(values)] != UNDEFINED)
    found[known] = np.array(values, np.uint32)[known]
    return found
