"""Learned scores for distances: which bucket a distance falls into, and each head's score of it.

Near distances have buckets of their own, those further away share buckets that grow with the
logarithm, and from `far` on there is only one (T5, arXiv:1910.10683).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._op import op
from .attention import _sequences

_OPERANDS = (
    "w[b,h], positions:int32[n], sequences:int32[n], cell_positions:int32[s], "
    "pages:int32[r,p], lengths:int32[r] -> [n,h,p*page]"
)


@op(_OPERANDS)
def bias_behind(
    w: Any,
    positions: Any,
    sequences: Any,
    cell_positions: Any,
    pages: Any,
    lengths: Any,
    *,
    page: int,
    far: int = 128,
) -> Any:
    """Scores of the cells before each token; those after it count as at no distance."""
    out = np.zeros((len(positions), w.shape[1], pages.shape[1] * page), np.float32)
    for rows, cells in _sequences(sequences, pages, lengths, page):
        behind = np.maximum(positions[rows, None] - cell_positions[cells], 0)  # [t, c]
        out[rows, :, : len(cells)] = w[_buckets(behind, len(w), far)].swapaxes(1, 2)
    return out


@op(_OPERANDS)
def bias_around(
    w: Any,
    positions: Any,
    sequences: Any,
    cell_positions: Any,
    pages: Any,
    lengths: Any,
    *,
    page: int,
    far: int = 128,
) -> Any:
    """Scores of the cells to both sides: one half of the buckets is for those after a token."""
    half = len(w) // 2
    out = np.zeros((len(positions), w.shape[1], pages.shape[1] * page), np.float32)
    for rows, cells in _sequences(sequences, pages, lengths, page):
        after = cell_positions[cells] - positions[rows, None]  # [t, c]
        buckets = _buckets(np.abs(after), half, far) + half * (after > 0)
        out[rows, :, : len(cells)] = w[buckets].swapaxes(1, 2)
    return out


def _buckets(distances: Any, count: int, far: int) -> Any:
    """The bucket of each distance, of so many."""
    exact = count // 2
    # in float32 as elsewhere, for a distance may lie on the edge of a bucket
    grown = np.log(np.maximum(distances, 1) / exact).astype(np.float32) * np.float32(count - exact)
    shared = np.floor(np.float32(exact + grown / math.log(far / exact))).astype(np.int64)
    return np.where(distances < exact, distances, np.minimum(shared, count - 1))
