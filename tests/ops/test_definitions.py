"""The NumPy definitions against loops that say the same in other words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.nn import rope as frequencies
from llamapy.tensor import Tensor

NUMPY = backends.get("numpy")
RANDOM = np.random.default_rng(11)


def normal(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def run(operation, *arrays, **params):
    args = [None if a is None else Tensor.of(a, NUMPY) for a in arrays]
    return operation(*args, **params).numpy()


@pytest.mark.parametrize(
    ("operation", "formula"),
    [
        (ops.silu, lambda x: x / (1 + math.exp(-x))),
        (ops.sigmoid, lambda x: 1 / (1 + math.exp(-x))),
        (ops.softplus, lambda x: math.log1p(math.exp(x))),
        (ops.relu, lambda x: max(x, 0)),
        (ops.relu_squared, lambda x: max(x, 0) ** 2),
        (ops.tanh, math.tanh),
        (ops.gelu_erf, lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2)))),
        (ops.gelu_quick, lambda x: x / (1 + math.exp(-1.702 * x))),
    ],
)
def test_activations(operation, formula):
    x = normal(40) * 3
    np.testing.assert_allclose(run(operation, x), [formula(float(v)) for v in x], 2e-6, 1e-7)


def test_gelu_by_tanh_is_near_gelu():
    x = np.linspace(-6, 6, 101, dtype=np.float32)
    assert np.abs(run(ops.gelu, x) - run(ops.gelu_erf, x)).max() < 5e-4


@pytest.mark.parametrize("operation", [ops.silu, ops.sigmoid, ops.gelu, ops.gelu_quick])
def test_activations_of_huge_values_are_finite(operation):
    assert np.isfinite(run(operation, np.array([-1e4, 1e4], np.float32))).all()


def test_softcap_and_clamp():
    x = np.array([-1e3, -1, 0, 1, 1e3], np.float32)
    np.testing.assert_allclose(run(ops.softcap, x, cap=30.0), 30 * np.tanh(x / 30), rtol=1e-6)
    assert run(ops.clamp, x, low=-2.0, high=3.0).tolist() == [-2, -1, 0, 1, 3]


def test_norms():
    x, w, b = normal(3, 8) * 4 + 1, normal(8), normal(8)
    x64 = x.astype(float)
    rms = np.sqrt((x64**2).mean(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(run(ops.rms_norm, x, w, eps=1e-5), x64 / rms * w, 1e-5)
    centred = x64 - x64.mean(1, keepdims=True)
    scaled = centred / np.sqrt(x64.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(run(ops.layer_norm, x, w, b, eps=1e-5), scaled * w + b, 1e-4, 1e-5)
    got = run(ops.group_norm, x, None, None, groups=2, eps=0.0)
    for half in (got[:, :4], got[:, 4:]):
        assert abs(half.mean()) < 1e-6
        assert abs(half.var() - 1) < 1e-5


def test_each_head_is_normed_by_itself():
    x, w = normal(3, 2, 8), normal(8)
    got = run(ops.rms_norm, x, w, eps=1e-6)
    np.testing.assert_array_equal(got[:, 1], run(ops.rms_norm, x[:, 1], w, eps=1e-6))
    w, b = normal(2, 8), normal(2, 8)
    got = run(ops.head_layer_norm, x, w, b, eps=1e-6)
    for head in range(2):
        want = run(ops.layer_norm, x[:, head], w[head], b[head], eps=1e-6)
        np.testing.assert_array_equal(got[:, head], want)


def test_each_head_has_its_own_number():
    x, by = normal(3, 2, 8), normal(3, 2)
    got = run(ops.mul_heads, x, by)
    for token, head in np.ndindex(3, 2):
        np.testing.assert_array_equal(got[token, head], x[token, head] * by[token, head])


def test_a_clipped_gate():
    gate, up = np.array([9, 1, -9, 1], np.float32), np.array([9, -9, 0.5, 0.5], np.float32)
    got = run(ops.clipped_gate, gate, up, limit=7.0)

    def quick(x):
        return x / (1 + math.exp(-1.702 * x))

    want = [quick(7) * 8, quick(1) * -6, quick(-9) * 1.5, quick(1) * 1.5]
    np.testing.assert_allclose(got, want, rtol=1e-6)


class TestRope:
    def test_neighbours_and_halves_are_the_same_up_to_order(self):
        x, positions, f = normal(4, 2, 12), np.array([0, 3, 7, 90]), frequencies.plain(8, 1e4)
        halves = run(ops.rope_halves, x, positions, f)
        order = np.r_[np.arange(8).reshape(2, 4).T.reshape(-1), 8:12]  # pairs side by side
        pairs = run(ops.rope_pairs, np.ascontiguousarray(x[..., order]), positions, f)
        np.testing.assert_allclose(pairs, halves[..., order], atol=1e-6)
        np.testing.assert_array_equal(halves[..., 8:], x[..., 8:])

    def test_a_pair_turns_by_its_angle(self):
        got = run(ops.rope_pairs, np.array([[[1, 0]]], np.float32), np.array([3]), np.array([0.1]))
        np.testing.assert_allclose(got[0, 0], [math.cos(0.3), math.sin(0.3)], atol=1e-7)

    def test_scores_depend_on_distances_only(self):
        q, k, f = normal(1, 1, 16), normal(1, 1, 16), frequencies.plain(16, 1e4)
        scores = [
            np.vdot(
                run(ops.rope_halves, q, np.array([a + 5]), f),
                run(ops.rope_halves, k, np.array([a]), f),
            )
            for a in (0, 1, 40)
        ]
        np.testing.assert_allclose(scores, scores[0], rtol=1e-4)

    def test_sections_with_equal_positions_are_halves(self):
        x, f = normal(3, 2, 16), frequencies.plain(16, 1e4)
        positions = np.array([2, 5, 9])
        component = frequencies.section_components([2, 3, 3, 0], 8)
        assert component.tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
        got = run(ops.rope_sections, x, np.repeat(positions[:, None], 4, 1), f, component)
        np.testing.assert_array_equal(got, run(ops.rope_halves, x, positions, f))

    def test_a_section_turns_by_its_own_position(self):
        x, f = normal(1, 1, 8), frequencies.plain(8, 1e4)
        component = frequencies.interleaved_components([2, 1, 1], 4)
        assert component.tolist() == [0, 1, 2, 0]
        got = run(ops.rope_sections, x, np.array([[3, 4, 5]]), f, component)
        for pair, position in enumerate((3, 4, 5, 3)):
            want = run(ops.rope_halves, x, np.array([position]), f)
            np.testing.assert_array_equal(got[0, 0, pair::4], want[0, 0, pair::4])


class TestFrequencies:
    def test_linear_and_ntk(self):
        plain = frequencies.plain(8, 100.0)
        np.testing.assert_allclose(plain, [1, 100**-0.25, 0.1, 100**-0.75])
        np.testing.assert_allclose(frequencies.linear(plain, 4), plain / 4)
        ntk = frequencies.ntk(8, 100.0, 4)
        np.testing.assert_allclose([ntk[0], ntk[-1]], [1, plain[-1] / 4])

    def test_yarn_keeps_fast_pairs_and_squeezes_slow_ones(self):
        plain = frequencies.plain(128, 1e4)
        got = frequencies.yarn(plain, 1e4, 8, 4096)
        turns = 4096 * plain / (2 * math.pi)
        np.testing.assert_array_equal(got[turns > 40], plain[turns > 40])
        np.testing.assert_allclose(got[turns < 0.7], plain[turns < 0.7] / 8)
        assert (np.diff(got) < 0).all()
        assert frequencies.yarn_magnitude(8) == pytest.approx(1 + 0.1 * math.log(8))
        assert frequencies.yarn_magnitude(8, 1.0) == 1
        np.testing.assert_array_equal(
            frequencies.yarn(plain, 1e4, 8, 4096, extrapolation=0.0), plain / 8
        )

    def test_llama3_factors(self):
        plain = frequencies.plain(128, 5e5)
        factors = frequencies.llama3_factors(plain, 8.0, 1.0, 4.0, 8192)
        wavelength = 2 * math.pi / plain
        np.testing.assert_array_equal(factors[wavelength < 8192 / 4], 1)
        np.testing.assert_allclose(factors[wavelength > 8192], 8)
        np.testing.assert_allclose(frequencies.divided(plain, factors), plain / factors)


class TestAttention:
    PAGE = 4

    def by_loops(self, q, k, v, scale, sees, cells_of, extra):
        """Head by head and cell by cell; `sees(i, cell)` is the mask."""
        n, h, _ = q.shape
        out = np.zeros((n, h, v.shape[-1]))
        for i in range(n):
            for head in range(h):
                group = head * k.shape[1] // h
                cells = [c for c in cells_of(i) if sees(i, c)]
                scores = [float(q[i, head] @ k[c, group]) * scale for c in cells]
                scores = [extra(i, head, c, s) for c, s in zip(cells, scores, strict=True)]
                weights = [math.exp(s) for s in scores]
                total = sum(weights) + extra(i, head, None, None)
                for c, weight in zip(cells, weights, strict=True):
                    out[i, head] += weight / total * v[c, group]
        return out

    @pytest.mark.parametrize("variant", ["causal", "window", "full", "softcap", "sinks", "slopes"])
    def test_against_loops(self, variant):
        pages = np.array([[2, 0, 3], [2, 1, 0]], np.int32)  # both begin with page 2
        lengths = np.array([10, 6], np.int32)
        cell_positions = RANDOM.permutation(16).astype(np.int32)
        cell_positions[9] = -1
        q, k, v = normal(4, 6, 8), normal(16, 2, 8), normal(16, 2, 5)
        positions = np.array([15, 9, 12, 4], np.int32)
        sequences = np.array([0, 1, 0, -1], np.int32)
        reach = positions if variant != "full" else np.full(4, 99, np.int32)
        sinks = normal(6) if variant == "sinks" else None
        slopes = np.abs(normal(6)) if variant == "slopes" else None
        window = 7 if variant == "window" else None
        softcap = 0.5 if variant == "softcap" else None

        def cells_of(i):
            if sequences[i] < 0:
                return []
            s = sequences[i]
            return [int(pages[s, c // 4]) * 4 + c % 4 for c in range(lengths[s])]

        def sees(i, c):
            at = cell_positions[c]
            return 0 <= at <= reach[i] and (window is None or positions[i] - at < window)

        def extra(i, head, c, score):
            if c is None:  # what is added to the sum
                return math.exp(sinks[head]) if sinks is not None else 0 if cells_of(i) else 1
            if softcap:
                score = softcap * math.tanh(score / softcap)
            if slopes is not None:
                score -= float(slopes[head]) * abs(int(positions[i]) - int(cell_positions[c]))
            return score

        got = run(
            ops.attend, q, k, v, positions, reach, sequences, cell_positions, pages, lengths,
            sinks, slopes, None, page=4, scale=0.3, window=window, softcap=softcap,
        )  # fmt: skip
        want = self.by_loops(q, k, v, 0.3, sees, cells_of, extra)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
        assert (got[3] == 0).all()  # a row without a sequence sees nothing

    def test_a_token_that_sees_nothing_gives_zero(self):
        got = run(
            ops.attend, normal(1, 2, 4), normal(4, 1, 4), normal(4, 1, 4), np.array([3]),
            np.array([3]), np.array([0]), np.array([9, 9, 9, -1]), np.array([[0]]), np.array([4]),
            None, None, None, page=4, scale=1.0,
        )  # fmt: skip
        assert (got == 0).all()

    def test_a_window_as_long_as_a_chunk_shows_the_chunk_from_its_end(self):
        positions = np.arange(9, dtype=np.int32)
        ends = run(ops.chunk_ends, positions, length=4)
        assert ends.tolist() == [3, 3, 3, 3, 7, 7, 7, 7, 11]
        values = np.eye(9, dtype=np.float32)[:, None]  # so that results are shares
        shares = run(
            ops.attend, np.zeros((9, 1, 4)), np.zeros((9, 1, 4)), values, ends, positions,
            np.zeros(9, np.int32), positions, np.array([[0]]), np.array([9]),
            None, None, None, page=9, scale=1.0, window=4,
        )[:, 0]  # fmt: skip
        for row, position in zip(shares, positions, strict=True):
            assert np.flatnonzero(row).tolist() == list(range(position // 4 * 4, position + 1))

    def test_bias_moves_scores(self):
        bias = np.zeros((1, 2, 4), np.float32)
        bias[0, 1, 2] = 50
        v = normal(4, 1, 4)
        got = run(
            ops.attend, normal(1, 2, 4), normal(4, 1, 4), v, np.array([3]), np.array([3]),
            np.array([0]), np.arange(4), np.array([[0]]), np.array([4]), None, None, bias,
            page=4, scale=1.0,
        )  # fmt: skip
        np.testing.assert_allclose(got[0, 1], v[2, 0], rtol=1e-5)

    def test_storing_skips_padding(self):
        cells = Tensor.of(np.zeros((4, 1, 2)), NUMPY)
        new, slots = Tensor.of(normal(3, 1, 2), NUMPY), Tensor.of(np.array([2, -1, 0]), NUMPY)
        assert ops.store(new, cells, slots) is cells
        assert (cells.numpy()[[1, 3]] == 0).all()
        np.testing.assert_array_equal(cells.numpy()[[2, 0]], new.numpy()[[0, 2]])


class TestExperts:
    def test_the_likeliest_come_first_and_ties_by_number(self):
        p = np.array([[0.1, 0.4, 0.4, 0.1], [0.7, 0.1, 0.1, 0.1]], np.float32)
        assert run(ops.choose_experts, p, None, count=3).tolist() == [[1, 2, 0], [0, 1, 2]]

    def test_a_bias_moves_the_choice_and_not_the_weights(self):
        p = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
        ids = run(ops.choose_experts, p, np.array([1, 0, 0, 0], np.float32), count=2)
        assert ids.tolist() == [[0, 3]]
        np.testing.assert_allclose(run(ops.expert_weights, p, ids), [[0.1, 0.4]])

    def test_only_the_best_groups_take_part(self):
        p = np.array([[0.5, 0.0, 0.3, 0.3, 0.2, 0.1]], np.float32)  # sums 0.5, 0.6, 0.3
        ids = run(ops.choose_experts, p, None, count=2, groups=3, groups_used=1)
        assert ids.tolist() == [[2, 3]]

    def test_weights_have_sum_one_unless_they_are_tiny(self):
        w = np.array([[0.2, 0.3], [1e-6, 1e-6]], np.float32)
        got = run(ops.normalize_weights, w)
        np.testing.assert_allclose(got[0], [0.4, 0.6])
        np.testing.assert_allclose(got[1], w[1] * 2.0**14)

    def test_rows_meet_their_experts(self):
        w, ids = normal(5, 3, 8), np.array([[4, 0], [1, 1]])
        for j in (1, 2):
            x = normal(2, j, 8)
            got = run(ops.expert_matmul, x, w, ids)
            for n in range(2):
                for c in range(2):
                    want = w[ids[n, c]] @ x[n, c % j]
                    np.testing.assert_allclose(got[n, c], want, rtol=1e-5, atol=1e-6)
        y, weights = normal(2, 2, 3), normal(2, 2)
        want = (y * weights[..., None]).sum(1)
        np.testing.assert_allclose(run(ops.expert_sum, y, weights), want)
        np.testing.assert_array_equal(run(ops.expert_total, y), y[:, 0] + y[:, 1])
        b = normal(5, 3)
        np.testing.assert_array_equal(run(ops.add_expert_bias, y, b, ids), y + b[ids])
        scale = normal(5)
        got = run(ops.mul_expert_scale, y, scale, ids)
        np.testing.assert_array_equal(got, y * scale[ids][..., None])
