"""RWKV's recurrences against sums over all earlier tokens."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.tensor import Tensor

NUMPY = backends.get("numpy")
TOKENS, HEADS, KEYS, VALUES = 7, 2, 5, 3


@pytest.fixture
def random():
    return np.random.default_rng(11)


def inputs(random, n=TOKENS):
    """Queries, keys, values and what is left of a state."""
    shape = n, HEADS, KEYS
    q, k = (random.standard_normal(shape).astype(np.float32) for _ in range(2))
    v = random.standard_normal((n, HEADS, VALUES)).astype(np.float32)
    return q, k, v, random.uniform(0.5, 1, shape).astype(np.float32)


def run(op, *arrays, states=None, read=(-1,), write=None, sequences=None, backend=NUMPY):
    """The result, and the states after it. Without more, one sequence that begins in slot 0."""
    n = len(arrays[0])
    states = np.zeros((3, HEADS, KEYS, VALUES), np.float32) if states is None else states
    write = np.r_[np.full(n - 1, -1), 0] if write is None else np.asarray(write)
    sequences = np.zeros(n, np.int32) if sequences is None else np.asarray(sequences)
    operands = (*arrays, states, np.asarray(read), write, sequences)
    tensors = [Tensor.of(np.array(each), backend) for each in operands]
    return op(*tensors).numpy(), tensors[-4].numpy()


def remembered(k, v, fade, until, since):
    """The state before token `until`, as a sum: what each token left, faded by those after it."""
    state = np.zeros((HEADS, KEYS, VALUES))
    for t in range(until):
        left = np.prod(fade[t + 1 : since], axis=0, dtype=np.float64)  # [H, D]
        state += (left * k[t])[:, :, None] * v[t][:, None, :]
    return state


def test_linear_attention_is_a_sum(random):
    q, k, v, fade = inputs(random)
    got, states = run(ops.linear_attention, q, k, v, fade)
    for t in range(TOKENS):
        state = remembered(k, v, fade, t + 1, t + 1)
        np.testing.assert_allclose(got[t], np.einsum("hd,hde->he", q[t], state), rtol=1e-4)
    np.testing.assert_allclose(states[0], state, rtol=1e-4, atol=1e-5)


def test_wkv6_reads_before_the_state_fades(random):
    r, k, v, fade = inputs(random)
    first = random.standard_normal((HEADS, KEYS)).astype(np.float32)
    got, _ = run(ops.wkv6, r, k, v, fade, first)
    for t in range(TOKENS):
        state = remembered(k, v, fade, t, t) + (first * k[t])[:, :, None] * v[t][:, None, :]
        np.testing.assert_allclose(
            got[t], np.einsum("hd,hde->he", r[t], state), rtol=1e-3, atol=1e-4
        )


def test_wkv7_is_linear_attention_where_nothing_comes_back(random):
    r, k, v, fade = inputs(random)
    nothing = np.zeros_like(k)
    got, states = run(ops.wkv7, r, k, v, fade, k, nothing)
    want, expected = run(ops.linear_attention, r, k, v, fade)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(states, expected)


def test_wkv7_replaces_what_it_knows(random):
    """With keys of length 1, a = -k and b = k: the state forgets what it said of k."""
    _, k, v, fade = inputs(random, 2)
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    k[1] = k[0]
    got, _ = run(ops.wkv7, k, k, v, np.ones_like(fade), -k, k)
    np.testing.assert_allclose(got, v, rtol=1e-5)


@pytest.mark.parametrize("name", ["linear_attention", "wkv6", "wkv7"])
def test_pieces_interleaved_sequences_and_padding(name, random):
    """Two sequences and a token of none, token by token, each as if it were alone."""
    op = getattr(ops, name)
    arrays = list(inputs(random))
    if name == "wkv6":
        arrays.append(random.standard_normal((HEADS, KEYS)).astype(np.float32))
    elif name == "wkv7":
        arrays += [0.3 * each for each in inputs(random)[:2]]
    owners = np.array([0, 1, 0, -1, 1, 1, 0])

    def of(chosen):
        return [each[chosen] if len(each) == TOKENS else each for each in arrays]

    write = [-1, -1, -1, -1, -1, 1, 0]
    got, states = run(op, *arrays, read=(-1, -1), write=write, sequences=owners)
    for row in range(2):
        alone, last = run(op, *of(owners == row))
        np.testing.assert_allclose(got[owners == row], alone, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(states[row], last[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got[owners < 0], 0)
    # in two pieces, by way of slot 2
    first, states = run(op, *of(np.arange(3)), write=[-1, -1, 2])
    second, _ = run(op, *of(np.arange(3, 7)), states=states, read=(2,))
    whole, _ = run(op, *arrays)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-5, atol=1e-6)


def test_the_token_before(random):
    x = random.standard_normal((5, 3)).astype(np.float32)
    kept = random.standard_normal((4, 3)).astype(np.float32)
    operands = x, kept, [2, -1], [-1, 3, -1, 0, -1], [0, 1, -1, 0, 1]
    tensors = [Tensor.of(np.asarray(each), NUMPY) for each in operands]
    got = ops.token_before(*tensors).numpy()
    np.testing.assert_array_equal(got, [kept[2], [0, 0, 0], [0, 0, 0], x[0], x[1]])
    np.testing.assert_array_equal(tensors[1].numpy(), [x[3], kept[1], kept[2], x[1]])


def test_on_its_way(random):
    x, y = (random.standard_normal((2, 3)).astype(np.float32) for _ in range(2))
    share = np.array([0, 1, 0.25], np.float32)
    x_, y_, by, rows = (Tensor.of(each, NUMPY) for each in (x, y, share, np.tile(share, (2, 1))))
    got = ops.toward_columns(x_, y_, by).numpy()
    np.testing.assert_array_equal(got, ops.toward(x_, y_, rows).numpy())
    np.testing.assert_allclose(
        got, [[a[0], b[1], (3 * a[2] + b[2]) / 4] for a, b in zip(x, y, strict=True)], rtol=1e-6
    )


@pytest.mark.parametrize("name", ["linear_attention", "wkv6", "wkv7"])
def test_a_kernel_gives_the_same_bits_in_every_batch(name, random):
    cpu = backends.get("cpu", threads=2)
    op = getattr(ops, name)
    assert name in cpu.kernels
    arrays = list(inputs(random))
    if name == "wkv6":
        arrays.append(random.standard_normal((HEADS, KEYS)).astype(np.float32))
    elif name == "wkv7":
        arrays += [0.3 * each for each in inputs(random)[:2]]
    alone, _ = run(op, *arrays, backend=cpu)
    order = np.repeat(np.arange(TOKENS), 2)
    both = [each[order] if len(each) == TOKENS else each for each in arrays]
    owners = np.tile([1, 0], TOKENS)
    write = np.full(2 * TOKENS, -1)
    write[-2:] = 1, 0
    got, _ = run(op, *both, read=(-1, -1), write=write, sequences=owners, backend=cpu)
    np.testing.assert_array_equal(got[0::2], alone)
    np.testing.assert_array_equal(got[1::2], alone)
