# mypy: check-untyped-defs=False
"""Activations as bytes: once for all matrices that multiply them.

Every 32 columns of a token share a scale, d = largest magnitude / 127, and are whole numbers q of
-127 to 127. With them go their sums, so that what a format adds to or takes from all weights of a
block is paid for once a block: sum((code - offset) * q) = sum(code * q) - offset * sum(q).

Tokens lie in tiles, so that one address and constants reach all that a register of weights meets:

    tile     unit | unit | ...          32 columns each
    unit     32 q of each token | d of each | minus the sum of q of each | the same as float32 |
             the same, whole, of the first half of each | of the second half of each
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
    round_ints,
    store,
    store_f32,
    store_u32,
)

# below it all are 0: the inverse of a scale is to be a number too
SMALLEST = np.float32(1e-30)
# units of one piece of work
UNITS_PER_PIECE = 16


def tile_size(tokens: int) -> int:
    """Tokens of a tile, for so many together: 1, 2, 4 ... as many as registers hold."""
    most = targets.current().most_tokens
    size = 1
    while size < min(tokens, most):
        size *= 2
    return size


def unit_bytes(tile: int) -> int:
    """Bytes of 32 columns of a tile."""
    return (UNIT + 20) * tile


def quantized_bytes(tokens: int, columns: int, tile: int) -> int:
    """Bytes of all tiles."""
    return -(-tokens // tile) * (columns // UNIT) * unit_bytes(tile)


def pieces(tokens: int, columns: int, tile: int) -> int:
    """The range of the kernel: tiles, each in pieces of some columns."""
    return -(-tokens // tile) * -(-(columns // UNIT) // UNITS_PER_PIECE)


def quantize(x: NDArray[np.float32], tile: int) -> NDArray[np.uint8]:
    """The definition: float32 [tokens, columns] as bytes, the last tile filled up with zeros."""
    tokens, columns = x.shape
    tiles, units = -(-tokens // tile), columns // UNIT
    padded = np.zeros((tiles * tile, columns), np.float32)
    padded[:tokens] = x
    blocks = padded.reshape(tiles, tile, units, UNIT).swapaxes(1, 2)  # tiles, units, tile, 32
    largest = np.abs(blocks).max(-1)
    inverse = np.zeros_like(largest)
    np.divide(np.float32(127), largest, out=inverse, where=largest > SMALLEST)
    q = np.rint(blocks * inverse[..., None]).astype(np.int8)
    halves = -q.reshape(*q.shape[:-1], 2, 16).astype(np.int32).sum(-1, dtype=np.int32)
    whole = halves.sum(-1, dtype=np.int32)
    fields = [q, largest / np.float32(127), whole, whole.astype(np.float32)]
    fields += [halves[..., 0], halves[..., 1]]
    parts = [
        np.ascontiguousarray(field).view(np.uint8).reshape(tiles, units, -1) for field in fields
    ]
    return np.concatenate(parts, -1).reshape(-1)


@once
def unit_quantizer(tile: int) -> Any:
    """quantize_unit(low, high, at, token): 32 columns of one token into a tile's unit."""

    @device
    def quantize_unit(low, high, at, token):
        # compared as whole numbers, NaN is the largest of all magnitudes, and so is seen
        bits = reduce_max_ints(maximum(bits_of(absolute(low)), bits_of(absolute(high))))
        largest = bits_float(np.uint32(bits))
        inverse = np.float32(127) / largest if largest > SMALLEST else np.float32(0)
        first = round_ints(low * repeat_float(inverse))
        second = round_ints(high * repeat_float(inverse))
        store(at + UNIT * token, low_bytes(first))
        store(at + UNIT * token + 16, low_bytes(second))
        first_sum, second_sum = reduce_add_ints(first), reduce_add_ints(second)
        at += UNIT * tile + 4 * token
        store_f32(at, largest / np.float32(127))
        store_u32(at + 4 * tile, -(first_sum + second_sum))
        store_f32(at + 8 * tile, np.float32(-(first_sum + second_sum)))
        store_u32(at + 12 * tile, -first_sum)
        store_u32(at + 16 * tile, -second_sum)

    return quantize_unit


@once
def quantizer(tile: int) -> Kernel:
    """quantize(out, x, row_bytes, tokens, units), over `pieces`."""
    quantize_unit, size = unit_quantizer(tile), unit_bytes(tile)

    @kernel(f"quantize_activations_{tile}")
    def quantize(out, x, row_bytes, tokens, units, first, last, thread):
        per_tile = (units + UNITS_PER_PIECE - 1) // UNITS_PER_PIECE
        for piece in range(first, last):
            start = piece // per_tile * tile
            begin = piece % per_tile * UNITS_PER_PIECE
            for unit in range(begin, least(units, begin + UNITS_PER_PIECE)):
                at = out + (start // tile * units + unit) * size
                for token in range(tile):
                    row = x + (start + token) * row_bytes + unit * 128
                    if start + token < tokens:
                        quantize_unit(load_floats16(row), load_floats16(row + 64), at, token)
                    else:
                        zero = repeat_float(0.0)
                        quantize_unit(zero, zero, at, token)

    return quantize
