"""Positions: scores of distances, and what follows from where a token is."""

from __future__ import annotations

from .signed import kernels, lane_for_each
from .source import Program

KERNELS = kernels(
    {
        "bias_around": lane_for_each("n*p*page", "positions"),
        "bias_behind": lane_for_each("n*p*page", "positions"),
        "chunk_ends": lane_for_each("n", "positions"),
        "grow_far": lane_for_each("n*h*d", "positions"),
        "mean_pool": lane_for_each("r*k", "positions"),
        "translate": lane_for_each("n", "positions"),
    }
)
PROGRAMS = [Program("positions")]
