"""Routing: the experts of each token, and their weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .device import Call
from .memory import Buffer
from .signed import kernels, lane_for_each
from .source import Program

LANES = 64
SMALLEST = 64  # a program is for so many experts, or for twice as many, and so on


def choose_experts(
    gpu: Any,
    out: Buffer,
    probabilities: Buffer,
    bias: Buffer | None,
    *,
    count: int,
    groups: int,
    groups_used: int,
) -> Iterator[Call]:
    n, experts = probabilities.shape
    args = [out, probabilities, bias, count, groups, groups_used, experts]
    yield gpu.call("choose_experts", choosing(experts), n, args)


def choosing(experts: int) -> Program:
    """The program that has room for so many experts."""
    room = max(SMALLEST, 1 << (experts - 1).bit_length())
    return Program("moe", constants=(("EXPERTS", room),), lanes=256)


def chunks_of_experts(gpu: Any, out: Buffer, ids: Buffer, *, size: int) -> Iterator[Call]:
    args = [out, ids, np.float32(1 / size), ids.size]
    yield gpu.call("chunks_of_experts", "moe", -(-ids.size // LANES), args)


KERNELS = {
    "choose_experts": choose_experts,
    "chunks_of_experts": chunks_of_experts,
    **kernels(
        {
            "expert_weights": lane_for_each("n*c", "moe"),
            "normalize_weights": lane_for_each("n*c", "moe"),
            "nearest_choice": lane_for_each("n*h", "moe"),
        }
    ),
}
PROGRAMS = [Program("moe"), choosing(256)]
