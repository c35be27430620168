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
#
# A slot has the hash of a text, and its number plus one, or 0. Within one file 64 bits of hash
# stand for the text: comparing texts would take most of the time in which a vocabulary is made
# ready. Who wants a merge of other texts can write it, and need not look for equal hashes.


@numba.njit(nogil=True)
def hash_on(state, pool, start, length):
    """The hash of a text whose beginning has the hash `state`."""
    for at in range(start, start + length):
        state = (state ^ np.uint64(pool[at])) * HASH_FACTOR
    return state


@numba.njit(nogil=True)
def first_place(state, slots):
    """Where to look for a hash first."""
    mixed = (state ^ (state >> np.uint64(32))) * MIX
    return np.int64(mixed >> np.uint64(32)) & (slots.shape[0] - 1)


@numba.njit(nogil=True)
def slot_of(state, slots):
    """The slot of this hash, or the free one that it would have."""
    key = np.int64(state)
    slot = first_place(state, slots)
    while slots[slot, 1] != 0 and slots[slot, 0] != key:
        slot = (slot + 1) & (slots.shape[0] - 1)
    return slot


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
def read_length(pool, at):
    """The 64-bit number before a text."""
    value = np.int64(0)
    for byte in range(8):
        value |= np.int64(pool[at + byte]) << (8 * byte)
    return value


@numba.njit(nogil=True)
def number_of(state, slots, count):
    """The number of the text with this hash; `count`, if it is new."""
    slot = slot_of(state, slots)
    if slots[slot, 1] == 0:
        slots[slot, 0], slots[slot, 1] = np.int64(state), count + 1
    return slots[slot, 1] - 1


@kernel
def number_texts(pool, at, n_texts, starts, lengths, slots, numbers, count):
    """Number texts that stand one after the other, each behind its length. How many there are."""
    spans = np.empty((BLOCK, 2), np.int64)
    states = np.empty(BLOCK, np.uint64)
    touched = np.int64(0)
    for first in range(0, n_texts, BLOCK):
        block = min(BLOCK, n_texts - first)
        # Memory is what takes long here, and in all that follows. So first all places of a block
        # are touched, and memory can bring many at a time; then they are used.
        for i in range(block):
            length = read_length(pool, at)
            spans[i, 0], spans[i, 1] = at + 8, length
            states[i] = hash_on(HASH_START, pool, at + 8, length)
            touched ^= slots[first_place(states[i], slots), 1]
            at += 8 + length
        for i in range(block):
            # an empty text has a number, and none finds it
            number = number_of(states[i], slots, count) if spans[i, 1] > 0 else count
            if number == count:
                starts[count], lengths[count] = spans[i, 0], spans[i, 1]
                count += 1
            numbers[first + i] = number
    return count, touched


@numba.njit(nogil=True)
def more_slots(slots):
    """The same numbers in four times as many slots."""
    found = np.zeros((4 * slots.shape[0], 2), np.int64)
    for old in range(slots.shape[0]):
        if slots[old, 1] != 0:
            slot = slot_of(np.uint64(slots[old, 0]), found)
            found[slot, 0], found[slot, 1] = slots[old, 0], slots[old, 1]
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
    spans = np.empty((BLOCK, 3), np.int64)  # where the two parts begin, and where the second ends
    states = np.empty((BLOCK, 3), np.uint64)  # of the two parts, and of both together
    numbers = np.empty((BLOCK, 3), np.int64)
    touched = np.int64(0)
    for first in range(0, n_merges, BLOCK):
        block = min(BLOCK, n_merges - first)
        if 2 * (count + 3 * BLOCK) > slots.shape[0]:
            slots = more_slots(slots)
        for i in range(block):
            length = read_length(pool, at)
            start = at + 8
            at = start + length
            middle = start + 1
            while middle < at and pool[middle] != SPACE:
                middle += 1
            spans[i, 0], spans[i, 1], spans[i, 2] = start, middle + 1, at
            if middle >= at - 1:
                spans[i, 0] = -1  # there are not two parts
                continue
            left = hash_on(HASH_START, pool, start, middle - start)
            right = hash_on(HASH_START, pool, middle + 1, at - middle - 1)
            both = hash_on(left, pool, middle + 1, at - middle - 1)
            states[i, 0], states[i, 1], states[i, 2] = left, right, both
            for k in range(3):
                touched ^= slots[first_place(states[i, k], slots), 1]
        for i in range(block):
            if spans[i, 0] < 0:
                continue
            left, right = spans[i, 1] - 1 - spans[i, 0], spans[i, 2] - spans[i, 1]
            for k in range(3):
                number = number_of(states[i, k], slots, count)
                numbers[i, k] = number
                if number < count:
                    continue
                count += 1
                if k < 2:
                    starts[number], lengths[number] = spans[i, k], right if k else left
                    continue
                starts[number], lengths[number] = tail, left + right
                for offset in range(left):
                    pool[tail + offset] = pool[spans[i, 0] + offset]
                for offset in range(right):
                    pool[tail + left + offset] = pool[spans[i, 1] + offset]
                tail += left + right
            touched ^= pairs[first_slot(pairs, numbers[i, 0], numbers[i, 1]), 0]
        for i in range(block):
            if spans[i, 0] < 0:
                continue
            slot = pair_slot(pairs, numbers[i, 0], numbers[i, 1])
            if pairs[slot, 0] < 0:  # the first of two equal ones counts
                pairs[slot, 0] = (numbers[i, 0] << 32) | numbers[i, 1]
                pairs[slot, 1] = (np.int64(first + i) << 32) | numbers[i, 2]
    return count, slots, touched
