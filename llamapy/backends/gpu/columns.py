"""Columns and streams, moved and mixed."""

from __future__ import annotations

from .signed import group_for_each, kernels, lane_for_each
from .source import Program

KERNELS = kernels(
    {
        "as_long_as": group_for_each("n*a", "columns"),
        "columns": lane_for_each("n*count", "columns", "columns_"),
        "excess": group_for_each("n", "columns"),
        "fill_columns": lane_for_each("n*k", "columns"),
        "join": lane_for_each("rest*(j+k)", "columns"),
        "mix_streams": lane_for_each("n*b*k", "columns"),
        "repeat_heads": lane_for_each("n*h*times*k", "columns"),
        "toward": lane_for_each("n*k", "columns"),
        "toward_columns": lane_for_each("n*k", "columns"),
    }
)
PROGRAMS = [Program("columns")]
