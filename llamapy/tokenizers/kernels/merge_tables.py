"""Tables of the texts and merges of a file, compiled.

Merges are rules about texts: this one and that one become the two together. Each text has a number,
which is the token's where it is one; texts that are no tokens are numbered after them.
"""

from __future__ import annotations

import numba
import numpy as np

from ...jit import kernel

HASH_START = np.uint64(0xCBF29CE484222325)
HASH_FACTOR = np.uint64(0x100000001B3)
MIX = np.uint64(0x9E3779B97F4A7C15)
SPACE = 32
BLOCK = 64  # merges that are looked up at a time

# ---- texts and their numbers


@numba.njit(nogil=True)
def hash_on(state, pool, start, length):
    """The hash of a text whose beginning has the hash `state`."""
    for at in range(start, start + length):
        state = (state ^ np.uint64(pool[at])) * HASH_FACTOR
    return state


@numba.njit(nogil=True)
def spread(state):
    """A hash whose high bits depend on all of it."""
    return (state ^ (state >> np.uint64(32))) * MIX


@numba.njit(nogil=True)
def is_text(pool, start, length, other_start, other_length):
    """Whether two texts are the same."""
    if length != other_length:
        return False
    for offset in range(length):  # noqa: SIM110 -- what Numba compiles
        if pool[start + offset] != pool[other_start + offset]:
            return False
    return True


@numba.njit(nogil=True)
def slot_of(state, pool, start, length, starts, lengths, slots):
    """The slot of this text: it has half of its hash, and below it its number plus one, or is 0."""
    mask = slots.size - 1
    mixed = spread(state)
    slot = np.int64(mixed >> np.uint64(32)) & mask
    tag = np.int64(mixed & np.uint64(0xFFFFFFFF))
    while slots[slot] != 0:
        if (slots[slot] >> 32) & 0xFFFFFFFF == tag:
            number = (slots[slot] & 0xFFFFFFFF) - 1
            if is_text(pool, start, length, starts[number], lengths[number]):
                break
        slot = (slot + 1) & mask
    return slot, tag


@numba.njit(nogil=True)
def read_length(pool, at):
    """The 64-bit number before a text."""
    value = np.int64(0)
    for byte in range(8):
        value |= np.int64(pool[at + byte]) << (8 * byte)
    return value


@numba.njit(nogil=True)
def number_of(state, pool, start, length, starts, lengths, slots, count):
    """A text's number, which is new where it is `count`."""
    slot, tag = slot_of(state, pool, start, length, starts, lengths, slots)
    if slots[slot] == 0:
        slots[slot] = (tag << 32) | (count + 1)
        starts[count] = start
        lengths[count] = length
    return (slots[slot] & 0xFFFFFFFF) - 1


@kernel
def number_texts(pool, at, n_texts, starts, lengths, slots, numbers, count):
    """Number texts that stand one after the other, each behind its length. How many there are."""
    for index in range(n_texts):
        length = read_length(pool, at)
        start = at + 8
        at = start + length
        if length == 0:
            starts[count], lengths[count] = start, 0  # it has a number, and none finds it
            numbers[index] = count
            count += 1
            continue
        state = hash_on(HASH_START, pool, start, length)
        number = number_of(state, pool, start, length, starts, lengths, slots, count)
        numbers[index] = number
        if number == count:
            count += 1
    return count


@numba.njit(nogil=True)
def more_slots(pool, starts, lengths, slots, count):
    """The same numbers in four times as many slots."""
    found = np.zeros(4 * slots.size, np.int64)
    for number in range(count):
        start, length = starts[number], lengths[number]
        state = hash_on(HASH_START, pool, start, length)
        slot, tag = slot_of(state, pool, start, length, starts, lengths, found)
        if found[slot] == 0 and length > 0:
            found[slot] = (tag << 32) | (number + 1)
    return found


@numba.njit(nogil=True)
def first_slot(pairs, left, right):
    """Where to look for a pair first."""
    key = np.uint64((left << 32) | right)
    return np.int64((key * MIX) >> np.uint64(32)) & (pairs.shape[0] - 1)


@numba.njit(nogil=True)
def pair_slot(pairs, left, right):
    """Where a pair of numbers is among the pairs, or would be: then its key is negative."""
    key = (left << 32) | right
    mask = pairs.shape[0] - 1
    slot = first_slot(pairs, left, right)
    while pairs[slot, 0] != key and pairs[slot, 0] >= 0:
        slot = (slot + 1) & mask
    return slot


@kernel
def link_merges(pool, at, n_merges, tail, starts, lengths, slots, pairs, count):
    """Number the texts of all merges, and note by pairs of numbers what they become and how early.

    `tail` is where the pool has room for merged texts. How many texts there are now, and the slots,
    which may be more than they were.
    """
    spans = np.empty((BLOCK, 4), np.int64)  # of the two parts: start and length
    states = np.empty((BLOCK, 2), np.uint64)
    numbers = np.empty((BLOCK, 3), np.int64)
    last = np.int64(0)
    touched = np.int64(0)
    for first in range(0, n_merges, BLOCK):
        block = min(BLOCK, n_merges - first)
        if 2 * (count + 3 * BLOCK) > slots.size:
            slots = more_slots(pool, starts, lengths, slots, count)
        # Memory is what takes long here. So first all places of a block are touched, and memory can
        # bring many at a time; then they are used.
        for i in range(block):
            length = read_length(pool, at)
            start = at + 8
            at = start + length
            middle = start + 1
            while middle < at and pool[middle] != SPACE:
                middle += 1
            spans[i, 0], spans[i, 1] = start, middle - start
            spans[i, 2], spans[i, 3] = middle + 1, at - middle - 1
            if middle >= at - 1:
                spans[i, 3] = 0  # there are not two parts
                continue
            for side in range(2):
                state = hash_on(HASH_START, pool, spans[i, 2 * side], spans[i, 2 * side + 1])
                states[i, side] = state
                touched ^= slots[np.int64(spread(state) >> np.uint64(32)) & (slots.size - 1)]
        for i in range(block):
            if spans[i, 3] == 0:
                continue
            for side in range(2):
                state = states[i, side]
                known = slots[np.int64(spread(state) >> np.uint64(32)) & (slots.size - 1)]
                touched ^= pool[starts[max((known & 0xFFFFFFFF) - 1, 0)]]
        for i in range(block):
            if spans[i, 3] == 0:
                continue
            for side in range(2):
                start, length = spans[i, 2 * side], spans[i, 2 * side + 1]
                state = states[i, side]
                number = number_of(state, pool, start, length, starts, lengths, slots, count)
                count += number == count
                numbers[i, side] = number
                for offset in range(length):
                    pool[tail + side * spans[i, 1] + offset] = pool[start + offset]
            both = spans[i, 1] + spans[i, 3]
            merged = last
            if last + 1 < count and is_text(pool, tail, both, starts[last + 1], lengths[last + 1]):
                merged = last + 1  # files mostly have merges in the order of tokens
            elif not is_text(pool, tail, both, starts[last], lengths[last]):
                state = hash_on(states[i, 0], pool, spans[i, 2], spans[i, 3])
                merged = number_of(state, pool, tail, both, starts, lengths, slots, count)
                if merged == count:
                    tail += both
                    count += 1
            numbers[i, 2] = last = merged
            touched ^= pairs[first_slot(pairs, numbers[i, 0], numbers[i, 1]), 0]
        for i in range(block):
            if spans[i, 3] == 0:
                continue
            slot = pair_slot(pairs, numbers[i, 0], numbers[i, 1])
            if pairs[slot, 0] < 0:  # the first of two equal ones counts
                pairs[slot, 0] = (numbers[i, 0] << 32) | numbers[i, 1]
                pairs[slot, 1] = (np.int64(first + i) << 32) | numbers[i, 2]
    return count, slots, touched
