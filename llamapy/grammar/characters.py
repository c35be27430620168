"""Sets of characters as ranges of code points, and how they are spelled in UTF-8."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Ranges = tuple[tuple[int, int], ...]

TOP = 0x10FFFF
# what four bytes can hold: [^...] and '.' of GBNF take bytes for what they look like, as llama.cpp
WIDE_TOP = 0x3FFFFF
SURROGATES: Ranges = ((0xD800, 0xDFFF),)


def ranges_of(parts: Iterable[tuple[int, int]]) -> Ranges:
    """The same set with its ranges in order, and joined where they touch."""
    merged: list[list[int]] = []
    for low, high in sorted(parts):
        if low > high:
            continue
        if merged and low <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    return tuple((low, high) for low, high in merged)


def characters(text: str) -> Ranges:
    """The set of a text's characters."""
    return ranges_of((ord(c), ord(c)) for c in text)


def complement(ranges: Ranges, top: int = TOP) -> Ranges:
    """All characters that are not in a set."""
    found, low = [], 0
    for start, end in ranges:
        if start > low:
            found.append((low, start - 1))
        low = end + 1
    if low <= top:
        found.append((low, top))
    return tuple(found)


def intersection(a: Ranges, b: Ranges) -> Ranges:
    """The characters in both sets."""
    found, i, k = [], 0, 0
    while i < len(a) and k < len(b):
        low, high = max(a[i][0], b[k][0]), min(a[i][1], b[k][1])
        if low <= high:
            found.append((low, high))
        if a[i][1] < b[k][1]:
            i += 1
        else:
            k += 1
    return tuple(found)


def difference(a: Ranges, b: Ranges) -> Ranges:
    """The characters of the first set that are not in the second."""
    return intersection(a, complement(b, WIDE_TOP))


def union(*sets: Ranges) -> Ranges:
    """The characters in any of the sets."""
    return ranges_of(part for ranges in sets for part in ranges)


def contains(ranges: Ranges, code: int) -> bool:
    return any(low <= code <= high for low, high in ranges)


def overlaps(ranges: Ranges, low: int, high: int) -> bool:
    return any(start <= high and low <= end for start, end in ranges)


# ---- UTF-8

# the largest code point of one, two, three and four bytes
LARGEST = (0x7F, 0x7FF, 0xFFFF, WIDE_TOP)
LEADS = (0, 0xC0, 0xE0, 0xF0)


def byte_ranges(low: int, high: int) -> Iterator[Ranges]:
    """Sequences of byte ranges that together spell just these code points."""
    start = 0
    for n_more, largest in enumerate(LARGEST):
        first, last = max(low, start), min(high, largest)
        if first <= last:
            yield from _spelled(first, last, n_more, LEADS[n_more])
        start = largest + 1


def _spelled(low: int, high: int, n_more: int, lead: int) -> Iterator[Ranges]:
    """Code points of one length: `n_more` bytes follow the first, which begins with `lead`."""
    if n_more == 0:
        yield ((lead | low, lead | high),)
        return
    shift = 6 * n_more
    first, last = low >> shift, high >> shift
    rest = (1 << shift) - 1
    if first == last:
        for tail in _spelled(low & rest, high & rest, n_more - 1, 0x80):
            yield ((lead | first, lead | first), *tail)
        return
    if low & rest:
        yield from _spelled(low, low | rest, n_more, lead)
        first += 1
    whole_end = last if high & rest == rest else last - 1
    if first <= whole_end:
        yield ((lead | first, lead | whole_end), *(((0x80, 0xBF),) * n_more))
    if whole_end < last:
        yield from _spelled(last << shift, high, n_more, lead)


def block(spelled: Ranges, n_read: int) -> tuple[int, int]:
    """The least and the largest code point that may come of the first bytes of a character."""
    n_more = len(spelled) - n_read
    low, high = (byte & (0x7F >> len(spelled)) for byte in spelled[0])
    for first, last in spelled[1:n_read]:
        low, high = low << 6 | first & 0x3F, high << 6 | last & 0x3F
    least = LARGEST[len(spelled) - 2] + 1 if len(spelled) > 1 else 0
    return max(low << 6 * n_more, least), (high + 1 << 6 * n_more) - 1
