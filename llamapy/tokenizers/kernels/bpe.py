"""Byte-pair encoding, compiled: the letters of words become tokens by a table of merges."""

from __future__ import annotations

import numba
import numpy as np

from ...heap import push, sink
from ...jit import kernel
from .merge_tables import HASH_START, MIX, hash_on, is_text, pair_slot, slot_of

NONE = np.int64(0x7FFFFFFFFFFFFFFF)  # a pair that no rule merges, and the largest rank
SHORT = 40  # words of up to so many parts are searched anew for each merge; others need a heap


@numba.njit(nogil=True)
def rule(pairs, left, right):
    """The rank and result of merging two texts, in one number; or NONE."""
    slot = pair_slot(pairs, left, right)
    return pairs[slot, 1] if pairs[slot, 0] >= 0 else NONE


@numba.njit(nogil=True)
def merge_short(pairs, parts, rules, n):
    """Merge the first `n` parts, the earliest rule first; how many are left."""
    for i in range(n - 1):
        rules[i] = rule(pairs, np.int64(parts[i]), np.int64(parts[i + 1]))
    while n > 1:
        best, where = NONE, 0
        for i in range(n - 1):
            if rules[i] < best:
                best, where = rules[i], i
        if best == NONE:
            break
        parts[where] = np.int32(best & 0xFFFFFFFF)
        n -= 1
        for i in range(where + 1, n):
            parts[i] = parts[i + 1]
            rules[i - 1] = rules[i]
        if where > 0:
            rules[where - 1] = rule(pairs, np.int64(parts[where - 1]), np.int64(parts[where]))
        if where < n - 1:
            rules[where] = rule(pairs, np.int64(parts[where]), np.int64(parts[where + 1]))
    return n


@numba.njit(nogil=True)
def merge_long(pairs, parts, rules, following, previous, heap, n):
    """As `merge_short`, in a time that hardly grows faster than the word."""
    size = 0
    for i in range(n):
        following[i], previous[i] = i + 1, i - 1
        rules[i] = NONE
        if i < n - 1:
            rules[i] = rule(pairs, np.int64(parts[i]), np.int64(parts[i + 1]))
            if rules[i] != NONE:
                size = push(heap, size, (rules[i] & ~np.int64(0xFFFFFFFF)) | i)
    while size > 0:
        key = heap[0]
        size -= 1
        sink(heap, size, heap[size])
        left = key & 0xFFFFFFFF
        if rules[left] == NONE or rules[left] >> 32 != key >> 32:
            continue  # something else was merged here since
        right = following[left]
        parts[left] = np.int32(rules[left] & 0xFFFFFFFF)
        rules[left] = rules[right] = NONE
        after = following[right]
        following[left] = after
        if after < n:
            previous[after] = left
            rules[left] = rule(pairs, np.int64(parts[left]), np.int64(parts[after]))
            if rules[left] != NONE:
                size = push(heap, size, (rules[left] & ~np.int64(0xFFFFFFFF)) | left)
        before = previous[left]
        if before >= 0:
            rules[before] = rule(pairs, np.int64(parts[before]), np.int64(parts[left]))
            if rules[before] != NONE:
                size = push(heap, size, (rules[before] & ~np.int64(0xFFFFFFFF)) | before)
    count = at = 0
    while at < n:
        parts[count] = parts[at]
        count += 1
        at = following[at]
    return count


@numba.njit(nogil=True)
def whole(letters, start, end, pool, starts, lengths, slots, n_tokens):
    """The token of which the text is just these letters', or -1."""
    total = 0
    state = HASH_START
    for i in range(start, end):
        letter = letters[i]
        total += lengths[letter]
        state = hash_on(state, pool, starts[letter], lengths[letter])
    number = slots[slot_of(state, slots), 1] - 1
    if number < 0 or number >= n_tokens or lengths[number] != total:
        return np.int64(-1)
    # anybody may have written this text: its hash says nothing for sure
    at = starts[number]
    for i in range(start, end):
        letter = letters[i]
        length = lengths[letter]
        if not is_text(pool, at, length, starts[letter], length):
            return np.int64(-1)
        at += length
    return number


@kernel
def merge_words(letters, ends, pairs, whole_from, n_tokens, pool, starts, lengths, slots, out):
    """Write the tokens of all words, which are given by their ends among the letters; how many.

    Words that begin with the letter `whole_from` stay whole if they are a token; -1: all, -2: none.
    """
    longest = 1
    start = 0
    for end in ends:
        longest = max(longest, end - start)
        start = end
    rules = np.empty(longest, np.int64)
    parts = np.empty(longest, np.int32)
    n_long = longest if longest > SHORT else 0
    following = np.empty(n_long, np.int64)
    previous = np.empty(n_long, np.int64)
    # each merge makes at most two new pairs
    heap = np.empty(3 * n_long, np.int64)

    # words seen before, by their hash: where they are among the letters, and their tokens
    bits = 4
    while bits < 17 and (1 << bits) < 2 * ends.size:
        bits += 1
    seen = np.zeros((1 << bits, 4), np.int64)

    count = 0
    start = 0
    for end in ends:
        n = end - start
        if n == 1:
            out[count] = letters[start]
            count += 1
            start = end
            continue
        state = HASH_START
        for i in range(start, end):
            state = (state ^ np.uint64(letters[i])) * MIX
            state ^= state >> np.uint64(29)
        slot = np.int64((state * MIX) >> np.uint64(64 - bits))
        known = seen[slot, 1] == n
        if known:
            other = seen[slot, 0]
            for offset in range(n):
                if letters[other + offset] != letters[start + offset]:
                    known = False
                    break
        if known:
            first = seen[slot, 2]
            for offset in range(seen[slot, 3]):
                out[count + offset] = out[first + offset]
            count += seen[slot, 3]
            start = end
            continue
        first = count
        token = np.int64(-1)
        if whole_from == -1 or whole_from == letters[start]:
            token = whole(letters, start, end, pool, starts, lengths, slots, n_tokens)
        if token >= 0:
            out[count] = token
            count += 1
        else:
            for offset in range(n):
                parts[offset] = letters[start + offset]
            if n <= SHORT:
                n_left = merge_short(pairs, parts, rules, n)
            else:
                n_left = merge_long(pairs, parts, rules, following, previous, heap, n)
            for offset in range(n_left):
                out[count + offset] = parts[offset]
            count += n_left
        seen[slot, 0], seen[slot, 1], seen[slot, 2], seen[slot, 3] = start, n, first, count - first
        start = end
    return count
