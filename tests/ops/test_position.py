"""Scores of distances and pooling, against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.tensor import Tensor

NUMPY = backends.get("numpy")
RANDOM = np.random.default_rng(5)


def run(operation, *arrays, **params):
    return operation(*[Tensor.of(array, NUMPY) for array in arrays], **params).numpy()


def bucket(distance, count):
    """T5's rule: the first half of the buckets for one distance each, the others up to 128."""
    exact = count // 2
    if distance < exact:
        return distance
    share = math.log(distance / exact) / math.log(128 / exact)
    return min(count - 1, exact + int(share * (count - exact)))


@pytest.mark.parametrize("operation", [ops.bias_around, ops.bias_behind])
def test_scores_of_distances(operation):
    weights = RANDOM.standard_normal((32, 3)).astype(np.float32)
    positions, sequences = np.array([150, 0, 9, 7]), np.array([1, 0, 1, -1])
    cells = RANDOM.permutation(200)[:24]  # positions of the cells of three pages
    pages, lengths = np.array([[2, 0], [1, 2]]), np.array([5, 13])
    got = run(operation, weights, positions, sequences, cells, pages, lengths, page=8)
    assert got.shape == (4, 3, 16)
    want = np.zeros_like(got)
    for row, (position, sequence) in enumerate(zip(positions, sequences, strict=True)):
        for place in range(lengths[sequence] if sequence >= 0 else 0):
            after = int(cells[pages[sequence, place // 8] * 8 + place % 8] - position)
            if operation is ops.bias_around:
                number = bucket(abs(after), 16) + 16 * (after > 0)
            else:
                number = bucket(max(-after, 0), 32)
            want[row, :, place] = weights[number]
    np.testing.assert_array_equal(got, want)


def test_near_distances_have_buckets_of_their_own_and_far_ones_share_the_last():
    weights = np.arange(8, dtype=np.float32)[:, None]
    cells = np.array([99, 98, 97, 96, 95, 40, 0, 100])
    rows, lengths = np.arange(8)[None], np.array([8])
    got = run(ops.bias_behind, weights, [200], [0], cells + 100, rows, lengths, page=1)
    assert got[0, 0].tolist() == [1, 2, 3, 4, 4, 7, 7, 0]


def test_mean_pool():
    x = RANDOM.standard_normal((6, 4)).astype(np.float32)
    sequences = np.array([1, 0, 1, 1, -1, 0])
    got = run(ops.mean_pool, x, sequences, np.array([2, 3, 0]))
    np.testing.assert_allclose(got[0], x[[1, 5]].mean(0), rtol=1e-6)
    np.testing.assert_allclose(got[1], x[[0, 2, 3]].mean(0), rtol=1e-6)
    assert got[2].tolist() == [0, 0, 0, 0]
