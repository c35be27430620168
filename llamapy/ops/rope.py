"""Rotary positions: pairs of a head's values, turned by an angle that grows with the position.

What differs between models is which values make a pair, and so there is one function for each way.
The frequencies say how fast each pair turns: scalings for long contexts are other frequencies, and
a magnitude, computed once on the host. Values beyond twice their number stay as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._op import op


@op("x[n,h,d], positions:int32[n], frequencies[f] -> [n,h,d]")
def rope_pairs(x: Any, positions: Any, frequencies: Any, *, magnitude: float = 1.0) -> Any:
    """Neighbours are pairs: (0, 1), (2, 3) ... ggml calls it NORM."""
    cos, sin = _turn(positions[:, None] * frequencies, magnitude)
    out = x.copy()
    width = 2 * len(frequencies)
    a, b = x[..., 0:width:2], x[..., 1:width:2]
    out[..., 0:width:2] = a * cos - b * sin
    out[..., 1:width:2] = a * sin + b * cos
    return out


@op("x[n,h,d], positions:int32[n], frequencies[f] -> [n,h,d]")
def rope_halves(x: Any, positions: Any, frequencies: Any, *, magnitude: float = 1.0) -> Any:
    """The halves pair up: (0, f), (1, f + 1) ... ggml calls it NEOX."""
    return _turn_halves(x, *_turn(positions[:, None] * frequencies, magnitude))


@op("x[n,h,d], positions:int32[n,c], frequencies[f], component<c[f] -> [n,h,d]")
def rope_sections(
    x: Any, positions: Any, frequencies: Any, component: Any, *, magnitude: float = 1.0
) -> Any:
    """Halves, with several positions for a token (time, height, width): M-RoPE.

    `component` says by which of the positions each pair turns.
    """
    return _turn_halves(x, *_turn(positions[:, component] * frequencies, magnitude))


def _turn(angles: Any, magnitude: float) -> tuple[Any, Any]:
    """Cosines and sines [n, 1, f], the same for all heads."""
    angles = angles.astype(np.float32)[:, None, :]
    size = np.float32(magnitude)
    return np.cos(angles) * size, np.sin(angles) * size


def _turn_halves(x: Any, cos: Any, sin: Any) -> Any:
    out = x.copy()
    half = cos.shape[-1]
    a, b = x[..., :half], x[..., half : 2 * half]
    out[..., :half] = a * cos - b * sin
    out[..., half : 2 * half] = a * sin + b * cos
    return out
