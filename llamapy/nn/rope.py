"""How fast each pair of a head's values turns: frequencies, computed once on the host.

A scaling for long contexts is no other kind of rope: only another vector of frequencies, and a
magnitude that all turned values are multiplied with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
from ..tensor import Tensor

if TYPE_CHECKING:
    from ..backends import Backend
    from ..ops import Op

Vector = NDArray[np.float64]


def plain(width: int, base: float) -> Vector:
    """1, then ever slower, down to nearly 1 / base: one frequency for two of `width` values."""
    return base ** (-np.arange(0, width, 2) / width)


def linear(frequencies: Vector, factor: float) -> Vector:
    """All positions squeezed by the same factor."""
    return frequencies / factor


def ntk(width: int, base: float, factor: float) -> Vector:
    """The base raised: the slowest pair turns `factor` times slower, the fastest as before."""
    return plain(width, base * factor ** (width / (width - 2)))


def yarn(
    frequencies: Vector,
    base: float,
    factor: float,
    n_ctx_original: int,
    *,
    beta_fast: float = 32.0,
    beta_slow: float = 1.0,
    extrapolation: float = 1.0,
) -> Vector:
    """YaRN (arXiv:2309.00071): fast pairs as they were, slow ones squeezed, those between mixed.

    Fast is a pair that turns more than `beta_fast` times within the original context, slow one
    that turns less than `beta_slow` times.
    """
    width = 2 * len(frequencies)

    def pair_that_turns(times: float) -> float:
        return width * math.log(n_ctx_original / (times * 2 * math.pi)) / (2 * math.log(base))

    low = max(0.0, math.floor(pair_that_turns(beta_fast)))
    high = min(width - 1.0, math.ceil(pair_that_turns(beta_slow)))
    ramp = (np.arange(len(frequencies)) - low) / max(0.001, high - low)
    kept = (1 - np.clip(ramp, 0, 1)) * extrapolation
    return frequencies / factor * (1 - kept) + frequencies * kept


def yarn_magnitude(factor: float, log_multiplier: float = 0.0) -> float:
    """How much YaRN enlarges queries and keys, to sharpen attention over a longer context."""

    def enlarged(by: float) -> float:
        return 0.1 * by * math.log(factor) + 1 if factor > 1 else 1.0

    return enlarged(1.0) / enlarged(log_multiplier) if log_multiplier else enlarged(1.0)


def divided(frequencies: Vector, factors: Any) -> Vector:
    """Each frequency divided by its own factor: LongRoPE, and Llama 3's, as files store them."""
    return frequencies / np.asarray(factors, np.float64)


def llama3_factors(
    frequencies: Vector, factor: float, low: float, high: float, n_ctx_original: int
) -> Vector:
    """Llama 3.1's rule: pairs that turn often stay, others slow down, by up to `factor`."""
    turns = n_ctx_original * frequencies / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / factor + smooth)


class Rope:
    """Turns heads by their positions: the way to pair values, frequencies and a magnitude."""

    def __init__(
        self, op: Op, frequencies: Any, backend: Backend, *, magnitude: float = 1.0
    ) -> None:
        self.op, self.magnitude = op, magnitude
        self.frequencies = Tensor.of(np.asarray(frequencies, np.float32), backend)

    def __call__(self, heads: Tensor, positions: Tensor) -> Tensor:
        turned, size = 2 * self.frequencies.size, heads.shape[-1]
        if turned > size:
            raise FormatError(
                f"{turned} values of a head of {size} would be turned: convert the model again",
                field="rope.dimension_count",
            )
        return self.op(heads, positions, self.frequencies, magnitude=self.magnitude)

    def move(self, keys: Tensor, by: Tensor) -> Tensor:
        """Keys that were turned already, as if they stood this many positions further on."""
        return self.op(keys, by, self.frequencies)


def section_components(sections: Sequence[int], n_pairs: int) -> NDArray[np.int32]:
    """M-RoPE: which position (time, height, width, extra) turns each pair, section by section."""
    whose = np.repeat(np.arange(len(sections)), sections)
    return np.resize(whose, n_pairs).astype(np.int32)


def interleaved_components(sections: Sequence[int], n_pairs: int) -> NDArray[np.int32]:
    """M-RoPE as in Qwen3-VL: time, height and width take turns while their sections last."""
    place = np.arange(n_pairs) % sum(sections)
    inside = place < 3 * np.asarray(sections)[place % 3]
    return np.where(inside, place % 3, 3).astype(np.int32)
