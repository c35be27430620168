"""Latent attention: both ways to compute it, and what it remembers."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.cache import Batch, Cache
from llamapy.engine.load import build
from llamapy.errors import UnsupportedError
from llamapy.models._latent import AbsorbedKV, MadeKV
from llamapy.tensor import Tensor
from llamapy.testing.model import invented, nmse

NUMPY = backends.get("numpy")
RANDOM = np.random.default_rng(7)
TOKENS = [int(t) for t in RANDOM.integers(0, 40, 12)]
SIZES = {"rope.dimension_count": 8, "attention.key_length_mla": 24}


@pytest.fixture(scope="module")
def absorbed():
    return invented("deepseek2", SIZES)


@pytest.fixture(scope="module")
def made(absorbed):
    """The same model, with matrices that make the keys and values of all heads."""
    weights = {name: tensor.numpy() for name, tensor in absorbed.decoder.weights().items()}
    for index in range(3):
        k, v = (weights.pop(f"blk.{index}.attn_{part}_b.weight") for part in "kv")
        both = np.concatenate([k.transpose(0, 2, 1), v], 1)  # [H, N + W, C]
        weights[f"blk.{index}.attn_kv_b.weight"] = both.reshape(-1, both.shape[-1])
    metadata = dict(absorbed.metadata)
    for part, size in (("key", 24), ("value", 8)):
        del metadata[f"deepseek2.attention.{part}_length_mla"]
        metadata[f"deepseek2.attention.{part}_length"] = size
    return build(metadata, weights, NUMPY, kv_type="f32")


def test_both_ways_give_the_same(absorbed, made):
    assert isinstance(absorbed.decoder.layers[0].kv, AbsorbedKV)
    assert isinstance(made.decoder.layers[0].kv, MadeKV)
    got, want = (m.forward(TOKENS, logits="all").logits for m in (absorbed, made))
    assert nmse(got, want) < 1e-10


def test_only_the_short_vector_is_remembered(absorbed, made):
    small, large = absorbed.cache(32), made.cache(32)
    assert small.states[0].n_bytes_per_cell == 4 * (32 + 8)
    assert large.states[0].n_bytes_per_cell == 4 * 4 * (24 + 8)


def test_keys_that_do_not_divide_into_blocks(absorbed):
    with pytest.raises(UnsupportedError, match=r"a latent key of 40 values.*blocks of Q8_0"):
        Cache(absorbed.decoder.states(), NUMPY, n_ctx=32, kv_type="q8_0")


@pytest.mark.parametrize("architecture", ["deepseek2", "plm", "minicpm3"])
def test_tokens_move(architecture):
    """Without positions 4 to 7, and what follows moved down: as if computed there."""
    model = invented(architecture, {**SIZES, "block_count": 1})
    cache = model.cache(32)
    model.run(cache, Batch.of(TOKENS))
    cache.remove(0, 4, 8)
    cache.shift(-4, start=8)
    got = model.run(cache, Batch.of([7]))[-1]
    assert nmse(got, model.forward([*TOKENS[:4], *TOKENS[8:], 7]).logits[-1]) < 1e-10


def test_copied_cells_are_the_same(absorbed):
    cache = absorbed.cache(64, n_sequences=2)
    absorbed.run(cache, Batch.of(TOKENS))
    cache.copy(0, 1)
    cache.shift(3, sequence=1)  # copies a shared page
    got = absorbed.run(cache, Batch.of([7], 1))[-1]
    assert nmse(got, absorbed.forward([*TOKENS, 7]).logits[-1]) < 1e-10


def test_yarn_sharpens_scores_instead_of_rope():
    yarn = {
        **SIZES,
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": 32,
    }
    sharp = {**yarn, "rope.scaling.yarn_log_multiplier": 0.1}
    enlarged = 1 + 0.1 * np.log(4.0)
    for architecture, metadata, magnitude, score in (
        ("deepseek2", yarn, enlarged, enlarged),
        ("deepseek2", sharp, 1.0, enlarged),
        ("mistral4", yarn, enlarged, enlarged),
        ("mistral4", sharp, 1.0, enlarged),
        ("mistral4", {**sharp, "rope.scaling.yarn_log_multiplier": 0.2}, None, enlarged),
    ):
        decoder = invented(architecture, metadata).decoder
        if magnitude is not None:
            assert decoder.rope.magnitude == pytest.approx(magnitude)
        assert decoder.config.attn_scale == pytest.approx(score**2 * 24**-0.5)


class TestOperations:
    def test_each_head_has_its_matrix(self):
        x, w = (RANDOM.standard_normal(s).astype(np.float32) for s in ((5, 3, 4), (3, 6, 4)))
        got = ops.head_matmul(Tensor.of(x, NUMPY), Tensor.of(w, NUMPY)).numpy()
        for head in range(3):
            np.testing.assert_allclose(got[:, head], x[:, head] @ w[head].T, rtol=1e-5, atol=1e-6)

    def test_join_and_repeat(self):
        x, y = (Tensor.of(np.full((2, 3, n), n), NUMPY) for n in (4, 1))
        joined = ops.join(Tensor.of(x.numpy() * 1.0, NUMPY), Tensor.of(y.numpy() * 1.0, NUMPY))
        assert joined.numpy()[1, 2].tolist() == [4, 4, 4, 4, 1]
        heads = Tensor.of(np.arange(2.0).reshape(1, 2, 1), NUMPY)
        assert ops.repeat_heads(heads, times=3).numpy().ravel().tolist() == [0, 0, 0, 1, 1, 1]

    def test_chunks_of_experts(self):
        ids = Tensor.of(np.arange(8).reshape(2, 4), NUMPY)
        assert ops.chunks_of_experts(ids, size=2).numpy().tolist() == [[0, 0, 1, 1], [2, 2, 3, 3]]
