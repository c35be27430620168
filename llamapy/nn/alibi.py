"""ALiBi: positions are told by scores that fall with the distance, faster in some heads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def alibi_slopes(n_heads: int, steepest: float = 8.0) -> NDArray[np.float32]:
    """How much a score falls for each position in between, for every head (arXiv:2108.12409).

    A geometric series down to 2**-steepest; heads beyond a power of two stand between the others.
    """
    power = 1 << (n_heads.bit_length() - 1)
    series = 2.0 ** (-steepest / power * np.arange(1, power + 1))
    between = 2.0 ** (-steepest / power / 2 * np.arange(1, 2 * (n_heads - power), 2))
    return np.concatenate([series, between]).astype(np.float32)
