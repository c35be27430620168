"""Mixtures of experts against loops that say the same in other words, and what is refused."""

from __future__ import annotations

import types

import numpy as np
import pytest

from llamapy import backends
from llamapy.engine.load import build
from llamapy.errors import FormatError, UnsupportedError
from llamapy.nn import Names, StatedSwiGLUExperts, bind
from llamapy.tensor import Tensor
from llamapy.testing.model import invented, nmse

NUMPY = backends.get("numpy")
RANDOM = np.random.default_rng(5)
E, X, M, S = 16, 8, 12, 20  # hidden, experts, of an expert, of the shared one
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6]


def normal(*shape):
    return (RANDOM.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


WEIGHTS = {
    "ffn_gate_inp.weight": 3 * normal(X, E),
    "ffn_gate_exps.weight": normal(X, M, E),
    "ffn_up_exps.weight": normal(X, M, E),
    "ffn_down_exps.weight": normal(X, E, M),
}
SHARED = {
    "ffn_gate_shexp.weight": normal(S, E),
    "ffn_up_shexp.weight": normal(S, E),
    "ffn_down_shexp.weight": normal(E, S),
}
INPUT = RANDOM.standard_normal((5, E)).astype(np.float32)


def computed(weights, **config):
    values = {
        "n_expert_used": 3,
        "n_expert_groups": 1,
        "n_expert_groups_used": 1,
        "expert_gating": 1,
        "expert_norm": False,
        "expert_scale": 1.0,
        "sizes": {"E": E, "X": X, "M": M},
        **config,
    }
    names = Names(weights, NUMPY)
    block = bind(StatedSwiGLUExperts, names, types.SimpleNamespace(**values))
    names.check_all_used("a test")
    return block(Tensor.of(INPUT, NUMPY)).numpy()


def silu(x):
    return x / (1 + np.exp(-x))


def network(x, gate, up, down):
    return down @ (silu(gate @ x) * (up @ x))


def expected(scores, weigh, chosen_by=lambda scores: scores, weights=WEIGHTS, used=3):
    """One token after the other: choose, weigh, add."""
    rows = []
    for x in INPUT.astype(np.float64):
        s = scores(weights["ffn_gate_inp.weight"] @ x)
        best = np.argsort(-chosen_by(s))[:used]
        total = 0
        for expert, weight in zip(best, weigh(s[best]), strict=True):
            parts = (weights[f"ffn_{part}_exps.weight"][expert] for part in ("gate", "up", "down"))
            total = total + weight * network(x, *parts)
        rows.append(total)
    return np.array(rows)


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("number", "scores", "weigh"),
    [
        (1, softmax, lambda s: s),
        (2, sigmoid, lambda s: s),
        (3, lambda logits: logits, softmax),
        (4, lambda logits: np.sqrt(np.log1p(np.exp(logits))), lambda s: s),
    ],
)
def test_kinds_of_routers(number, scores, weigh):
    assert nmse(computed(WEIGHTS, expert_gating=number), expected(scores, weigh)) < 1e-12


def test_normalized_and_scaled_weights():
    got = computed(WEIGHTS, expert_gating=2, expert_norm=True, expert_scale=2.5)
    assert nmse(got, expected(sigmoid, lambda s: 2.5 * s / s.sum())) < 1e-12


@pytest.mark.parametrize("name", ["exp_probs_b.bias", "exp_probs_b"])
def test_a_bias_moves_the_choice_and_not_the_weights(name):
    bias = np.linspace(2, -2, X).astype(np.float32)
    got = computed({**WEIGHTS, name: bias}, expert_gating=2)
    assert nmse(got, expected(sigmoid, lambda s: s, lambda s: s + bias)) < 1e-12
    assert nmse(got, computed(WEIGHTS, expert_gating=2)) > 1e-3


def test_groups_of_experts():
    def in_best_groups(scores):
        pairs = scores.reshape(4, 2)  # the best two of a group of two are both
        keep = np.argsort(-pairs.sum(1))[:2]
        return np.where(np.isin(np.arange(X) // 2, keep), scores, -np.inf)

    got = computed(WEIGHTS, n_expert_groups=4, n_expert_groups_used=2)
    assert nmse(got, expected(softmax, lambda s: s, in_best_groups)) < 1e-12


def test_gate_and_up_in_one_matrix():
    weights = dict(WEIGHTS)
    parts = [weights.pop(f"ffn_{part}_exps.weight") for part in ("gate", "up")]
    weights["ffn_gate_up_exps.weight"] = np.concatenate(parts, 1)
    assert nmse(computed(weights), computed(WEIGHTS)) < 1e-12


def test_shared_experts():
    parts = [SHARED[f"ffn_{part}_shexp.weight"] for part in ("gate", "up", "down")]
    alone = np.array([network(x, *parts) for x in INPUT.astype(np.float64)])
    mixed = computed(WEIGHTS)
    assert nmse(computed({**WEIGHTS, **SHARED}), mixed + alone) < 1e-12
    gate = normal(E)
    gated = mixed + sigmoid(INPUT @ gate)[:, None] * alone
    for shape in ((E,), (1, E)):  # files write it in either way
        name = "ffn_gate_inp_shexp.weight"
        got = computed({**WEIGHTS, **SHARED, name: gate.reshape(shape)})
        assert nmse(got, gated) < 1e-12


def test_half_a_shared_expert_is_refused():
    with pytest.raises(UnsupportedError, match="has no use for ffn_up_shexp"):
        computed({**WEIGHTS, "ffn_up_shexp.weight": SHARED["ffn_up_shexp.weight"]})


@pytest.mark.parametrize(
    ("metadata", "error", "says"),
    [
        ({"expert_gating_func": 9}, UnsupportedError, "expert_gating_func is 9, and 1, 2, 3, 4"),
        ({"expert_used_count": 5}, FormatError, "cannot go to 5 of 4 experts"),
        ({"expert_group_count": 3}, FormatError, "4 experts cannot be 3 groups"),
    ],
)
def test_what_cannot_be(metadata, error, says):
    with pytest.raises(error, match=says):
        invented("dots1", metadata)


def test_a_weight_scale_that_an_architecture_does_not_have_is_refused():
    with pytest.raises(UnsupportedError, match=r"qwen3moe.expert_weights_scale is 2.5"):
        invented("qwen3moe", {"expert_weights_scale": 2.5})


def test_leading_layers_are_dense_where_the_file_has_them_so():
    experts, dense = invented("deepseek"), invented("llama", {"feed_forward_length": 48})
    weights = {name: tensor.numpy() for name, tensor in experts.decoder.weights().items()}
    for name in [name for name in weights if name.startswith("blk.0.ffn_") and "norm" not in name]:
        del weights[name]
    for part in ("gate", "up", "down"):
        name = f"blk.0.ffn_{part}.weight"
        weights[name] = dense.decoder.weights()[name].numpy()
    model = build(experts.metadata, weights, NUMPY, kv_type="f32")
    kinds = [type(layer.ffn).__name__ for layer in model.decoder.layers]
    assert kinds == ["SwiGLU", "SwiGLUExperts", "SwiGLUExperts"]


def test_layers_that_guess_further_tokens_are_left_alone():
    model = invented("glm4moe", {"block_count": 2})
    weights = {name: tensor.numpy() for name, tensor in model.decoder.weights().items()}
    further = {
        name.replace("blk.1.", "blk.2."): value
        for name, value in weights.items()
        if name.startswith("blk.1.")
    }
    further["blk.2.nextn.eh_proj.weight"] = normal(32, 64)
    metadata = {**model.metadata, "glm4moe.block_count": 3, "glm4moe.nextn_predict_layers": 1}
    with_them = build(metadata, weights | further, NUMPY, kv_type="f32")
    assert with_them.config.n_layer == len(with_them.decoder.layers) == 2
    want = model.forward(TOKENS).logits
    np.testing.assert_array_equal(with_them.forward(TOKENS).logits, want)
    with pytest.raises(UnsupportedError, match=r"has no use for blk\.2\."):
        build(model.metadata, weights | further, NUMPY, kv_type="f32")
