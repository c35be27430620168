"""Random numbers: the same stream as C++'s std::mt19937, so that a seed means the same tokens."""

from __future__ import annotations

import copy
import secrets

import numpy as np

from ..errors import UnsupportedError


class Random:
    """Numbers from 0 to 1. Without a seed, another stream each time."""

    def __init__(self, seed: int | None) -> None:
        is_whole = isinstance(seed, int | np.integer)
        if seed is not None and not (is_whole and 0 <= seed < 1 << 32):
            raise UnsupportedError(f"seed is {seed!r}: pass None, or 0 to {(1 << 32) - 1}")
        self._bits = np.random.MT19937()
        self._bits._legacy_seeding(secrets.randbits(32) if seed is None else seed)

    def double(self) -> float:
        """The next one, of two draws of 32 bits."""
        low, high = (int(self._bits.random_raw()) for _ in range(2))
        return min((low + high * 2.0**32) / 2.0**64, np.nextafter(1.0, 0.0))

    def single(self) -> np.float32:
        """The next one, of one draw of 32 bits."""
        drawn = np.float32(int(self._bits.random_raw())) / np.float32(2.0**32)
        return min(drawn, np.nextafter(np.float32(1), np.float32(0)))

    def copy(self) -> Random:
        return copy.deepcopy(self)
