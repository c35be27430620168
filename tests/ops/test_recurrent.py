"""Operations with a state: sequences that begin, go on, take turns and leave snapshots."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.tensor import Tensor

N_SLOTS = 9


@pytest.fixture(scope="module", params=["numpy", "cpu"])
def backend(request):
    return backends.get(request.param)


class Case:
    """Random operands, and tokens of up to three sequences."""

    def __init__(self, sequences, seed=0):
        self.random = np.random.default_rng(seed)
        self.sequences = np.array(sequences, np.int32)
        self.n = len(sequences)
        # the second sequence begins anew; the third shares the state of the first
        self.read = np.array([4, -1, 4, -1], np.int32)
        self.write = np.full(self.n, -1, np.int32)
        free = iter([0, 8, 2, 6])
        for row in range(3):
            at = np.flatnonzero(self.sequences == row)
            if len(at):
                self.write[at[-1]] = next(free)
        first = np.flatnonzero(self.sequences == 0)
        if len(first) > 2:
            self.write[first[-3]] = 7  # a snapshot on the way

    def normal(self, *shape):
        return self.random.standard_normal(shape).astype(np.float32)

    @property
    def slots(self):
        return self.read, self.write, self.sequences

    def run(self, op, operands, backend):
        tensors = [None if x is None else Tensor.of(x, backend) for x in operands]
        states = tensors[-4]
        return op(*tensors).numpy().copy(), states.numpy().copy()

    def one_by_one(self, op, operands):
        """Each token in a step of its own, on NumPy, with a sequence's state in a row of its own.

        The first `per_token` operands that are as long as the batch are cut.
        """
        numpy = backends.get("numpy")
        *given, states, read, write, sequences = operands
        current = [states[slot].copy() if slot >= 0 else np.zeros_like(states[0]) for slot in read]
        after, rows = states.copy(), []
        for t, row in enumerate(sequences):
            if row < 0:
                rows.append(None)
                continue
            one = [x[t : t + 1] if x is not None and cut else x for x, cut in given]
            own = np.stack([current[row], current[row]])
            slots = [np.array([value], np.int32) for value in (0, 1, 0)]
            out, changed = self.run(op, [*one, own, *slots], numpy)
            current[row] = changed[1]
            rows.append(out[0])
            if write[t] >= 0:
                after[write[t]] = current[row]
        return rows, after


TURNS = {
    "one token": [0],
    "a decode step of three, padded": [0, 1, 2, -1],
    "prefill": [0] * 7,
    "a new one": [1] * 5,
    "mixed": [0, 0, 1, 0, 2, -1, 0, 1, 1, -1],
    "only padding": [-1, -1],
}


def agree(case, op, given, states, backend, tolerance):
    operands = [*(x for x, _ in given), states, *case.slots]
    out, after = case.run(op, operands, backend)
    want, states_after = case.one_by_one(op, [*given, states, *case.slots])
    for got, row in zip(out, want, strict=True):
        size = 1 if row is None else np.abs(row).max()
        np.testing.assert_allclose(got, 0 if row is None else row, atol=tolerance * size, rtol=0)
    size = np.abs(states_after).max()
    np.testing.assert_allclose(after, states_after, atol=tolerance * size, rtol=0)


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize(("columns", "k", "biased"), [(16, 4, True), (21, 3, False), (40, 2, True)])
def test_a_convolution_takes_up_where_it_was(turns, columns, k, biased, backend):
    case = Case(TURNS[turns])
    given = [
        (case.normal(case.n, columns), True),
        (case.normal(columns, k), False),
        (case.normal(columns) if biased else None, False),
    ]
    states = case.normal(N_SLOTS, k - 1, columns)
    agree(case, ops.causal_conv, given, states, backend, 1e-6)


def test_a_convolution_is_a_sum_over_the_last_tokens():
    case = Case([1] * 6)
    x, w, b = case.normal(6, 5), case.normal(5, 4), case.normal(5)
    states = np.zeros((N_SLOTS, 3, 5), np.float32)
    numpy = backends.get("numpy")
    out, after = case.run(ops.causal_conv, [x, w, b, states, *case.slots], numpy)
    for column in range(5):
        whole = np.convolve(x[:, column], w[column, ::-1])[:6] + b[column]
        np.testing.assert_allclose(out[:, column], whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(after[case.write[-1]], x[-3:])


SHAPES = {
    # heads, columns of a head, groups, values of a state, rates of a head
    "Mamba": (40, 1, 1, 16, 16),
    "Mamba, of odd sizes": (19, 1, 1, 11, 11),
    "Mamba 2": (6, 8, 2, 32, 1),
    "Mamba 2, of odd sizes": (3, 5, 1, 19, 1),
    "rates of their own for heads of several columns": (4, 3, 4, 24, 24),
    "one value": (5, 2, 5, 1, 1),
}


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_scan_takes_up_where_it_was(turns, shape, backend):
    h, d, g, q, m = SHAPES[shape]
    case = Case(TURNS[turns])
    given = [
        (case.normal(case.n, h, d), True),
        (2 * case.normal(case.n, h), True),
        (-0.1 - np.abs(case.normal(h, m)), False),
        (case.normal(case.n, g, q), True),
        (case.normal(case.n, g, q), True),
        (case.normal(h), False),
    ]
    agree(case, ops.ssm_scan, given, case.normal(N_SLOTS, h, d, q), backend, 3e-6)


def test_a_scan_is_the_sum_of_what_was_taken_in_and_faded():
    """y_t = sum over s <= t of c_t . b_s * x_s * dt_s * exp(a * (dt_s+1 + ... + dt_t))."""
    h, d, q, n = 3, 2, 4, 6
    case = Case([1] * n)
    x, dt, a = case.normal(n, h, d), case.normal(n, h), -np.abs(case.normal(h, q))
    b, c, skip = case.normal(n, 1, q), case.normal(n, 1, q), case.normal(h)
    states = np.zeros((N_SLOTS, h, d, q), np.float32)
    numpy = backends.get("numpy")
    out, _ = case.run(ops.ssm_scan, [x, dt, a, b, c, skip, states, *case.slots], numpy)
    time = np.log1p(np.exp(dt.astype(np.float64)))
    for t in range(n):
        y = x[t] * skip[:, None].astype(np.float64)
        for s in range(t + 1):
            fade = np.exp(a * time[s + 1 : t + 1].sum(0)[:, None])  # [h, q]
            weight = (fade * (c[t] * b[s])).sum(1) * time[s]  # [h]
            y = y + weight[:, None] * x[s]
        np.testing.assert_allclose(out[t], y, rtol=1e-4, atol=1e-5)


def test_a_replay_computes_the_same_again(backend):
    """The read slot is left as it was."""
    from llamapy.plan import record

    case = Case(TURNS["mixed"])
    operands = [
        *(case.normal(case.n, 20), case.normal(20, 4), None),
        *(case.normal(N_SLOTS, 3, 20), *case.slots),
    ]
    tensors = [None if x is None else Tensor.of(x, backend) for x in operands]
    plan = record(lambda: ops.causal_conv(*tensors))
    plan.run = backend.compile(plan)
    want, states = plan.output.numpy().copy(), tensors[3].numpy().copy()
    plan.run()
    np.testing.assert_array_equal(plan.output.numpy(), want)
    np.testing.assert_array_equal(tensors[3].numpy(), states)
