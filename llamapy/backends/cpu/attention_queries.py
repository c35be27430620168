# mypy: check-untyped-defs=False
"""Queries in the form in which keys meet them, and their scores: a tile of rows with 32 keys.

    load(out, room, q, token, count, rows, heads, head, shared, d, width, factor)
    score(scores, keys, half, queries, d, ahead)

Keys that are numbers meet float32; BF16 keys, "pairs", meet queries rounded to BF16, where the
processor multiplies two at once; keys in blocks meet bytes, as weights do. The queries are those of
`count` rows, from a token and a head on, times a factor, and zeros up to `rows` and `width`. While
keys are met, as many bytes from `ahead` on are fetched.
"""

from __future__ import annotations

from typing import Any

from .attention_rows import KEYS
from .attention_steps import COLUMNS, WIDE, fetch, score_step, tile_to
from .floats import FLOAT_LAYOUTS
from .formats import LAYOUTS
from .kernel import device, once
from .layouts import UNIT
from .matmul import product
from .quantize_activations import unit_bytes, unit_quantizer
from .simd import (
    copies,
    load_f32,
    load_floats16,
    load_u32,
    narrow_bf16,
    repeat_float,
    store,
    store_f32,
    store_u32,
)

PAIRS = "pairs"  # BF16 keys, two columns at once


@device
def clear(at, n_bytes):
    for k in range(0, n_bytes, 64):
        store(at + k, repeat_float(0.0))


@device
def _query(q, row, first, heads, head, shared, d):
    """Where a row's numbers are."""
    return q + 4 * d * ((first + row // shared) * heads + head + row % shared)


@once
def loader(keys: str, tile: int) -> Any:
    """The function that loads queries for such keys."""
    if keys in FLOAT_LAYOUTS:
        return _float_loader(tile)
    return _pair_loader(tile) if keys == PAIRS else _byte_loader(tile)


def unit_of_row(keys: str) -> int:
    """Bytes that 32 numbers of a row take."""
    if keys in FLOAT_LAYOUTS:
        return 4 * UNIT
    return 2 * UNIT if keys == PAIRS else unit_bytes(1)


@once
def scorer(keys: str, tile: int, streamed: bool) -> Any:
    """The function that scores such keys; streamed ones are read once."""
    if keys in FLOAT_LAYOUTS:
        return _column_scorer(keys, tile, 16 * FLOAT_LAYOUTS[keys].file_bytes, 4, streamed)
    if keys == PAIRS:
        return _column_scorer(keys, tile, 32, 2, streamed)
    return _block_scorer(keys, tile, streamed)


# ---- numbers


def _float_loader(tile: int) -> Any:
    @device
    def load(out, room, q, first, count, rows, heads, head, shared, d, width, factor):
        """[rows / tile, width, tile]"""
        clear(out, 4 * rows * width)
        for row in range(count):
            at = _query(q, row, first, heads, head, shared, d)
            there = out + 4 * (row // tile * tile * width + row % tile)
            for column in range(d):
                store_f32(there + 4 * tile * column, load_f32(at + 4 * column) * factor)

    return load


def _pair_loader(tile: int) -> Any:
    @device
    def load(out, room, q, first, count, rows, heads, head, shared, d, width, factor):
        """[rows / tile, width / 2, tile] pairs of BF16"""
        clear(out, 2 * rows * width)
        for row in range(count):
            at = _query(q, row, first, heads, head, shared, d)
            there = out + 4 * (row // tile * tile * width // 2 + row % tile)
            for column in range(0, d, 16):
                store(room, narrow_bf16(load_floats16(at + 4 * column) * factor))
                for pair in range(8):
                    place = there + 4 * tile * (column // 2 + pair)
                    store_u32(place, load_u32(room + 4 * pair))

    return load


def _column_scorer(keys: str, tile: int, key_bytes: int, number_bytes: int, streamed: bool) -> Any:
    """8 columns at a time; a column of 16 keys, and one of queries, has so many bytes."""
    step, put, registers = score_step(keys, tile), tile_to(tile), WIDE * tile
    fetched = WIDE * key_bytes * COLUMNS if streamed else 0

    @device
    def score(scores, keys, half, queries, d, ahead):
        totals = copies(repeat_float(0.0), registers)
        for _ in range(0, d, COLUMNS):
            for line in range(0, fetched, 64):
                fetch(ahead + line)
            ahead += fetched
            totals = step(totals, keys, half, queries)
            keys += key_bytes * COLUMNS
            queries += number_bytes * tile * COLUMNS
        put(scores, 4 * KEYS, totals)

    return score


# ---- bytes


def _byte_loader(tile: int) -> Any:
    quantize, size = unit_quantizer(tile), unit_bytes(tile)

    @device
    def load(out, room, q, first, count, rows, heads, head, shared, d, width, factor):
        """Tiles of units, as `quantize_activations.py` has them."""
        zero = repeat_float(0.0)
        for row in range(rows):
            there = out + row // tile * (width // UNIT) * size
            at = _query(q, row, first, heads, head, shared, d)
            for column in range(0, d, UNIT):
                if row < count:
                    low = load_floats16(at + 4 * column) * factor
                    high = load_floats16(at + 4 * column + 64) * factor
                    quantize(low, high, there, row % tile)
                else:
                    quantize(zero, zero, there, row % tile)
                there += size

    return load


def _block_scorer(keys: str, tile: int, streamed: bool) -> Any:
    layout: Any = LAYOUTS[keys]
    multiply, put = product(layout, tile, False), tile_to(tile, 1)
    block_columns, block_size = layout.columns, layout.block_size() if streamed else 0

    @device
    def score(scores, keys, half, queries, d, ahead):
        for k in range(WIDE):
            for line in range(0, d // block_columns * block_size, 64):
                fetch(ahead + line)
            ahead += d // block_columns * block_size
            put(scores + 64 * k, 4 * KEYS, multiply(keys, queries, d))
            keys += half

    return score
