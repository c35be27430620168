"""How small numbers lie in a block's bytes, for the formats that share a way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Bytes


def pack_halves(q: NDArray[Any]) -> Bytes:
    """4-bit numbers [..., n] in bytes [..., n / 2]: the first half low, the second half high."""
    low, high = np.split(q.astype(np.uint8) & 15, 2, axis=-1)
    return low | (high << 4)


def unpack_halves(packed: Bytes) -> Bytes:
    return np.concatenate([packed & 15, packed >> 4], axis=-1)


def pack_fifth_bits(q: NDArray[Any]) -> Bytes:
    """Bit 4 of each of 32 numbers, in four bytes, the first number lowest."""
    return np.packbits((q.astype(np.uint8) >> 4) & 1, axis=-1, bitorder="little")


def unpack_fifth_bits(packed: Bytes) -> Bytes:
    return np.unpackbits(packed, axis=-1, bitorder="little") << np.uint8(4)
