"""The gated delta rule: what it learns, forgets, and has in common with RWKV 7."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends, ops

from .test_wkv import HEADS, KEYS, TOKENS, inputs, run


@pytest.fixture
def random():
    return np.random.default_rng(12)


@pytest.fixture
def learning(random):
    """Queries, keys of length 1, values, rates and how much is learned."""
    q, k, v, fade = inputs(random)
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    return q, k, v, np.log(fade), random.uniform(0.1, 1, (TOKENS, HEADS)).astype(np.float32)


def test_what_is_learned_in_full_is_known(learning):
    _, k, v, rate, beta = learning
    got, _ = run(ops.delta_rule, k, k, v, rate, np.ones_like(beta))
    np.testing.assert_allclose(got, v, rtol=1e-4, atol=1e-5)


def test_other_keys_are_left_alone(learning):
    """Keys at right angles do not disturb each other, but for what fades."""
    _, _, v, _, beta = learning
    k = np.tile(np.eye(KEYS, dtype=np.float32)[:, None], (1, HEADS, 1))  # [5, H, D]
    q = np.repeat(k[:1], KEYS, 0)
    rate = np.full((KEYS, HEADS, 1), np.log(0.5), np.float32)
    got, _ = run(ops.delta_rule, q, k, v[:KEYS], rate, np.ones_like(beta[:KEYS]))
    want = [v[0] * 0.5**t for t in range(KEYS)]
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_it_is_rwkv_7_with_other_numbers(learning):
    q, k, v, rate, beta = learning
    got, states = run(ops.delta_rule, q, k, v, rate, beta)
    fade, times = np.exp(rate), beta[:, :, None]
    want, expected = run(ops.wkv7, q, times * k, v, fade, -fade * k, times * k)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(states, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("device", ["numpy", "cpu"])
def test_one_rate_is_the_same_rate_for_all_rows(device, learning):
    backend = backends.get(device)
    q, k, v, rate, beta = learning
    one = rate[:, :, :1]
    got, _ = run(ops.delta_rule, q, k, v, one, beta, backend=backend)
    rates = np.repeat(one, KEYS, 2)
    want, _ = run(ops.delta_rule, q, k, v, rates, beta, backend=backend)
    np.testing.assert_array_equal(got, want)


def test_pieces_and_sequences_side_by_side(learning):
    owners = np.array([0, 1, 0, -1, 1, 1, 0])
    write = [-1, -1, -1, -1, -1, 1, 0]
    got, states = run(ops.delta_rule, *learning, read=(-1, -1), write=write, sequences=owners)
    for row in range(2):
        alone, last = run(ops.delta_rule, *(each[owners == row] for each in learning))
        np.testing.assert_allclose(got[owners == row], alone, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(states[row], last[0], rtol=1e-5, atol=1e-6)
    first, states = run(ops.delta_rule, *(each[:3] for each in learning), write=[-1, 1, 2])
    second, _ = run(ops.delta_rule, *(each[3:] for each in learning), states=states, read=(2,))
    again, _ = run(ops.delta_rule, *(each[2:] for each in learning), states=states, read=(1,))
    whole, _ = run(ops.delta_rule, *learning)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(again, whole[2:], rtol=1e-5, atol=1e-6)


def test_the_kernel_gives_the_same_bits_in_every_batch(learning):
    cpu = backends.get("cpu", threads=2)
    alone, _ = run(ops.delta_rule, *learning, backend=cpu)
    both = [np.repeat(each, 2, 0) for each in learning]
    owners, write = np.tile([1, 0], TOKENS), np.full(2 * TOKENS, -1)
    write[-2:] = 1, 0
    options = {"read": (-1, -1), "write": write, "sequences": owners, "backend": cpu}
    got, _ = run(ops.delta_rule, *both, **options)
    np.testing.assert_array_equal(got[0::2], alone)
    np.testing.assert_array_equal(got[1::2], alone)
