"""Products of rows with the matrices of their experts, and what is done with them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .device import Call
from .matmul import FEW, TALL, Multiply, Rows, names
from .memory import Buffer
from .signed import kernels, lane_for_each
from .source import Program


def expert_matmul(gpu: Any, out: Buffer, x: Buffer, w: Buffer, ids: Buffer) -> Iterator[Call]:
    """Few tokens take each matrix as it comes; of many, those of an expert go side by side."""
    n, choices = ids.shape
    experts, m, k = w.shape
    if not math.prod((n, choices, m)):
        return
    shared = choices // x.shape[1]
    count = n * choices
    if n <= FEW:
        how = Multiply(gpu, x, w)
        yield from how.prepare()
        rows = Rows(1, x=k, out=m, batch=count, x_batch=k, out_batch=m, shared=shared)
        yield how.few(out, rows, ids)
        return
    tiles = count // TALL + experts + 1
    how = Multiply(gpu, x, w, beside=4 * (count + 3 * tiles))
    at = how.n_bytes // 4
    yield from how.prepare()
    args = [how.scratch, ids, at, count, experts, TALL]
    yield gpu.call("group_rows", "experts", experts + 1, args)
    rows = Rows(count, x=k, out=m, shared=shared)
    yield how.many(out, rows, tiles, [how.scratch, at])


KERNELS = {
    **dict.fromkeys(names("expert_matmul"), expert_matmul),
    **kernels(
        {
            "add_expert_bias": lane_for_each("n*c*m", "experts"),
            "mul_expert_scale": lane_for_each("n*c*m", "experts"),
            "expert_sum": lane_for_each("n*m", "experts"),
            "expert_total": lane_for_each("n*m", "experts"),
        }
    ),
}
PROGRAMS = [Program("experts")]
