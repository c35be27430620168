# mypy: check-untyped-defs=False
"""Which cells a block of keys is, where they are, and who sees them."""

from __future__ import annotations

import numpy as np

from .attention_rows import KEYS
from .cells import TILE
from .kernel import device, kernel
from .simd import (
    counting,
    least,
    load_i32,
    load_ints16,
    maximum,
    reduce_max_ints,
    repeat_int,
    store,
    store_i64,
    store_u32,
    where,
)

# what the rows of a run see of a block
UNSEEN, PARTLY_SEEN, SEEN_BY_ALL = 0, 1, 2


@device
def find_tiles(numbers, seen, cell_positions, pages, page, begin, present):
    """Cells of a block, and their positions, where pages are of whole tiles; -1 behind the last."""
    per_page = page // TILE
    for k in range(0, KEYS, TILE):
        number = 0
        if k < present:
            tile = (begin + k) // TILE
            number = (load_i32(pages + 4 * (tile // per_page)) * per_page + tile % per_page) * TILE
        for half in range(0, TILE, 16):
            at = k + half
            store(numbers + 4 * at, counting() + np.int32(number + half))
            position = load_ints16(cell_positions + 4 * (number + half))
            store(seen + 4 * at, where(counting() < np.int32(present - at), position, -1))


@device
def find_next(numbers, pages, page, begin, length):
    """The first cells of the next block's tiles, to be fetched: any will do behind the last."""
    per_page = page // TILE
    for k in range(0, KEYS, TILE):
        tile = least(begin + k, length - 1) // TILE
        number = (load_i32(pages + 4 * (tile // per_page)) * per_page + tile % per_page) * TILE
        store_u32(numbers + 4 * k, number)


@device
def find_cells(numbers, seen, cell_positions, pages, page, begin, present):
    """The same with any pages, cell by cell."""
    index, inside = begin // page, begin % page
    number = 0
    for k in range(KEYS):
        position = -1
        if k < present:
            if inside == page:
                index, inside = index + 1, 0
            number = load_i32(pages + 4 * index) * page + inside
            position = load_i32(cell_positions + 4 * number)
            inside += 1
        store_u32(numbers + 4 * k, number)
        store_u32(seen + 4 * k, position)


@device
def is_seen(seen, lowest, farthest):
    """Whether a row may see anything of a block."""
    found = repeat_int(0)
    for k in range(0, KEYS, 16):
        position = load_ints16(seen + 4 * k)
        inside = where(position > np.int32(lowest), 1, repeat_int(0))
        found = maximum(found, where(position <= np.int32(farthest), inside, 0))
    return reduce_max_ints(found) > 0


@device
def is_seen_by_all(seen, low, near):
    """Whether every row sees all of a block."""
    first, last = load_ints16(seen), load_ints16(seen)
    for k in range(16, KEYS, 16):
        position = load_ints16(seen + 4 * k)
        last = maximum(position, last)
        first = where(position < first, position, first)
    return -reduce_max_ints(-first) > low and reduce_max_ints(last) <= near


@kernel("attend_find")
def find_block(
    found,
    numbers,
    seen,
    cell_positions,
    pages,
    page,
    lowest,
    farthest,
    low,
    near,
    first,
    last,
    thread,
):
    """The block from the first key on, of a sequence of `last`: its cells, the first of the next
    block's tiles, all their positions, and what rows see of it.

    No row sees what is not above `lowest` and up to `farthest`; all see what is above `low` and up
    to `near`.
    """
    present = least(KEYS, last - first)
    if page % TILE == 0:
        find_tiles(numbers, seen, cell_positions, pages, page, first, present)
        find_next(numbers + 4 * KEYS, pages, page, first + KEYS, last)
    else:
        find_cells(numbers, seen, cell_positions, pages, page, first, present)
    result = UNSEEN
    if is_seen(seen, lowest, farthest):
        result = SEEN_BY_ALL if is_seen_by_all(seen, low, near) else PARTLY_SEEN
    store_i64(found, result)
