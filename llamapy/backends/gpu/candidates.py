"""The likeliest tokens of each row of logits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .device import Call
from .memory import Buffer
from .source import Program

LANES = 256
WIDTH = 4096  # values that a group chooses from
PAIR = 8  # bytes of a candidate: its value and its token


def top_candidates(gpu: Any, out: Buffer, logits: Buffer, *, count: int) -> Iterator[Call]:
    n, columns = logits.shape
    program = Program("candidates", lanes=LANES)
    # choosing from parts first is worth it where few of each are chosen
    parts = -(-columns // WIDTH) if 2 * count < WIDTH else 1
    # where what was chosen for good begins, behind what was chosen from parts
    at = n * parts * count if parts > 1 else 0
    scratch = gpu.scratch(PAIR * (at + n * count))
    first = [scratch, 0, logits, None, columns, parts, -(-columns // parts), count]
    yield gpu.call("choose", program, n * parts, first)
    if parts > 1:
        width = parts * count
        yield gpu.call("choose", program, n, [scratch, at, None, scratch, width, 1, width, count])
    lanes = -(-n * count // LANES)
    yield gpu.call("in_order", program, lanes, [out, scratch, at, n, count])


KERNELS = {"top_candidates": top_candidates}
PROGRAMS = [Program("candidates", lanes=LANES)]
