# mypy: check-untyped-defs=False
"""Activations as bytes: once for all matrices that multiply them.

Some columns of a token, a group, share a scale, d = largest magnitude / 127, and are whole numbers
q of -127 to 127. With them go their sums, so that what a format adds to or takes from all weights
of a block is paid for once a block: sum((code - offset) * q) = sum(code * q) - offset * sum(q).

Tokens lie in tiles, so that one address and constants reach all that a register of weights meets:

    tile     group | group | ...

A group is one unit of 32 columns, or of 256 where a format's blocks have as many, and whole numbers
for the scales of their units: then products add up whole numbers to the block's end.

    of 32    32 q of each token | d of each | minus the sum of q of each | the same as float32 |
             the same, whole, of the first half of each | of the second half of each
    of 256   32 q of each token, 8 times | sums of halves of each, 8 times | sums of wholes of each,
             4 times | d of each

Those sums are pairs of int16, with the sign changed: of both halves of 32 columns, and of two times
32 columns that follow each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...jit import bits_float
from . import targets
from .kernel import Kernel, device, kernel, once
from .layouts import UNIT
from .simd import (
    absolute,
    bits_of,
    least,
    load_floats16,
    low_bytes,
    maximum,
    reduce_add_ints,
    reduce_max_ints,
    repeat_float,
    repeat_int,
    round_ints,
    store,
    store_f32,
    store_u16,
    store_u32,
)

# below it all are 0: the inverse of a scale is to be a number too
SMALLEST = np.float32(1e-30)
# units of a group of 256
UNITS = 256 // UNIT
# of one piece of work
COLUMNS_PER_PIECE = 512


def tile_size(tokens: int) -> int:
    """Tokens of a tile, for so many together: 1, 2, 4 ... as many as registers hold."""
    most = targets.current().most_tokens
    size = 1
    while size < min(tokens, most):
        size *= 2
    return size


def words_of(group: int) -> int:
    """Words of 32 bits that a token has in a group, beside its columns."""
    return 5 if group == UNIT else UNITS + UNITS // 2 + 1


def group_bytes(group: int, tile: int) -> int:
    """Bytes of a group of so many columns."""
    return (group + 4 * words_of(group)) * tile


def unit_bytes(tile: int) -> int:
    """Bytes of a group of 32 columns."""
    return group_bytes(UNIT, tile)


def quantized_bytes(tokens: int, columns: int, tile: int, group: int) -> int:
    """Bytes of all tiles."""
    return -(-tokens // tile) * (columns // group) * group_bytes(group, tile)


def pieces(tokens: int, columns: int, tile: int) -> int:
    """The range of the kernel: tiles, each in pieces of some columns."""
    return -(-tokens // tile) * -(-columns // COLUMNS_PER_PIECE)


def quantize(x: NDArray[np.float32], tile: int, group: int) -> NDArray[np.uint8]:
    """The definition: float32 [tokens, columns] as bytes, the last tile filled up with zeros."""
    tokens, columns = x.shape
    tiles = -(-tokens // tile)
    padded = np.zeros((tiles * tile, columns), np.float32)
    padded[:tokens] = x
    groups = padded.reshape(tiles, tile, columns // group, group).swapaxes(1, 2)
    largest = np.abs(groups).max(-1)  # tiles, groups, tile
    inverse = np.zeros_like(largest)
    np.divide(np.float32(127), largest, out=inverse, where=largest > SMALLEST)
    q = np.rint(groups * inverse[..., None]).astype(np.int8)
    d = largest / np.float32(127)
    halves = -q.reshape(*q.shape[:-1], group // 16, 16).astype(np.int32).sum(-1, dtype=np.int32)
    if group == UNIT:
        whole = halves.sum(-1, dtype=np.int32)
        sums = whole, whole.astype(np.float32), halves[..., 0], halves[..., 1]
        return _side_by_side(q, d, *sums).reshape(-1)
    q = q.reshape(*q.shape[:-1], UNITS, UNIT)
    pairs = halves.astype(np.int16).reshape(*q.shape[:-1], 2)
    wholes = pairs.sum(-1, dtype=np.int16).reshape(*q.shape[:-2], UNITS // 2, 2)
    each = (field.swapaxes(2, 3) for field in (q, pairs, wholes))
    return _side_by_side(*each, d).reshape(-1)


def _side_by_side(*fields: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of all fields [tiles, groups, ...] of each group."""
    parts = [
        np.ascontiguousarray(field).view(np.uint8).reshape(*field.shape[:2], -1) for field in fields
    ]
    return np.concatenate(parts, -1)


@device
def _scales(bits):
    """d and its inverse, of the bits of the largest magnitude.

    Compared as whole numbers, NaN is the largest of all magnitudes, and so is seen.
    """
    largest = bits_float(np.uint32(bits))
    inverse = np.float32(127) / largest if largest > SMALLEST else np.float32(0)
    return largest / np.float32(127), inverse


@device
def _largest(low, high):
    return maximum(bits_of(absolute(low)), bits_of(absolute(high)))


@device
def _round(low, high, inverse, at):
    """32 columns as bytes; minus the sums of both halves."""
    first = round_ints(low * repeat_float(inverse))
    second = round_ints(high * repeat_float(inverse))
    store(at, low_bytes(first))
    store(at + 16, low_bytes(second))
    return -reduce_add_ints(first), -reduce_add_ints(second)


@once
def unit_quantizer(tile: int) -> Any:
    """quantize_unit(low, high, at, token): 32 columns of one token into a tile's unit."""

    @device
    def quantize_unit(low, high, at, token):
        d, inverse = _scales(reduce_max_ints(_largest(low, high)))
        first, second = _round(low, high, inverse, at + UNIT * token)
        at += UNIT * tile + 4 * token
        store_f32(at, d)
        store_u32(at + 4 * tile, first + second)
        store_f32(at + 8 * tile, np.float32(first + second))
        store_u32(at + 12 * tile, first)
        store_u32(at + 16 * tile, second)

    return quantize_unit


@once
def _quantize_small(tile: int) -> Any:
    """quantize_group(row, at, token): a group of 32 columns of a row of float32."""
    quantize_unit = unit_quantizer(tile)

    @device
    def quantize_group(row, at, token):
        quantize_unit(load_floats16(row), load_floats16(row + 64), at, token)

    return quantize_group


@once
def _quantize_large(tile: int) -> Any:
    """The same of 256."""

    @device
    def quantize_group(row, at, token):
        largest = repeat_int(0)
        for unit in range(UNITS):
            here = row + 4 * UNIT * unit
            largest = maximum(largest, _largest(load_floats16(here), load_floats16(here + 64)))
        d, inverse = _scales(reduce_max_ints(largest))
        halves = at + UNITS * UNIT * tile + 4 * token
        wholes = halves + 4 * UNITS * tile
        for unit in range(UNITS):
            here, there = row + 4 * UNIT * unit, at + UNIT * (unit * tile + token)
            low, high = load_floats16(here), load_floats16(here + 64)
            first, second = _round(low, high, inverse, there)
            store_u16(halves + 4 * tile * unit, first)
            store_u16(halves + 4 * tile * unit + 2, second)
            store_u16(wholes + 4 * tile * (unit // 2) + 2 * (unit % 2), first + second)
        store_f32(wholes + 2 * UNITS * tile, d)

    return quantize_group


@device
def _clear(at, size):
    for each in range(0, size, 4):
        store_u32(at + each, 0)


@once
def quantizer(tile: int, group: int) -> Kernel:
    """quantize(out, x, row_bytes, tokens, columns), over `pieces`."""
    quantize_group = _quantize_small(tile) if group == UNIT else _quantize_large(tile)
    size, per_piece = group_bytes(group, tile), COLUMNS_PER_PIECE // group

    @kernel(f"quantize_activations_{tile}_{group}")
    def quantize(out, x, row_bytes, tokens, columns, first, last, thread):
        groups = columns // group
        per_tile = (groups + per_piece - 1) // per_piece
        for piece in range(first, last):
            start = piece // per_tile * tile
            begin = piece % per_tile * per_piece
            present = least(tile, tokens - start)
            for number in range(begin, least(groups, begin + per_piece)):
                at = out + (start // tile * groups + number) * size
                if present < tile:
                    _clear(at, size)
                for token in range(present):
                    quantize_group(x + (start + token) * row_bytes + number * 4 * group, at, token)

    return quantize
