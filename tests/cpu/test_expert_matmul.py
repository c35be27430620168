"""Products of many rows with their experts: in tiles, and with the bits that a row alone has."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.backends.cpu.expert_matmul import order_by_expert, order_bytes
from llamapy.plan import record
from llamapy.quants import get
from llamapy.tensor import Tensor

EXPERTS, ROWS, COLUMNS = 3, 21, 256


def backend(precision):
    return backends.get("cpu", threads=2, precision=precision)


def experts_of(name, device):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((EXPERTS, ROWS, COLUMNS)).astype(np.float32)
    quant = get(name)
    raw = quant.quantize(values.reshape(-1, COLUMNS)).reshape(EXPERTS, ROWS, -1)
    return Tensor.packed(raw, values.shape, quant, device)


def case(tokens, device, shared=False):
    """Rows and their experts: one gets none, one few, and some rows have none."""
    rng = np.random.default_rng(tokens)
    x = rng.standard_normal((tokens, 1 if shared else 2, COLUMNS)).astype(np.float32)
    ids = rng.choice(np.array([0, 0, 0, 2, 2, -1], np.int32), (tokens, 2))
    ids[-1, 0] = 1
    return Tensor.of(x, device), Tensor.of(ids, device)


def one_by_one(x, w, ids, device):
    out = [
        ops.expert_matmul(Tensor.of(row[None], device), w, Tensor.of(own[None], device)).numpy()
        for row, own in zip(x.numpy(), ids.numpy(), strict=True)
    ]
    return np.concatenate(out)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    ("name", "precision"), [("Q4_0", None), ("Q6_K", "float32"), ("F16", None), ("BF16", None)]
)
def test_a_row_does_not_depend_on_its_company(name, precision, shared):
    device = backend(precision)
    w = experts_of(name, device)
    x, ids = case(21, device, shared)
    together = ops.expert_matmul(x, w, ids).numpy()
    assert np.array_equal(together, one_by_one(x, w, ids, device))
    assert not together[ids.numpy() < 0].any()


def test_rows_are_ordered_again_when_their_experts_change():
    """A plan is replayed with other experts for the same rows, whose bytes are tiled anew."""
    device = backend(None)
    w, (x, ids) = experts_of("Q4_0", device), case(21, device)
    plan = record(lambda: [ops.expert_matmul(x, w, ids) for _ in range(2)])
    run = device.compile(plan)
    for turn in range(2):
        ids.buffer[...] = np.roll(ids.numpy(), turn, 0)
        run()
        wanted = one_by_one(x, w, ids, device)
        for out in plan.output:
            assert np.array_equal(out.numpy(), wanted)


def test_orders_are_stable():
    ids = np.array([2, 0, -1, 2, 0, 0], np.int32)
    order = np.empty(order_bytes(6, 3) // 4, np.int32)
    order_by_expert.bind(order, ids, 6, 3)(0, 1)
    assert order[:4].tolist() == [3, 3, 5, 6]
    assert order[4:].tolist() == [1, 4, 5, 0, 3, 2]
