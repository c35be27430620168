"""Embeddings for layers, borrowed keys, and streams: what Gemma 3n and 4 have of their own."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.cache import Batch
from llamapy.cache.borrowed import BorrowedKV
from llamapy.engine.load import build
from llamapy.errors import FormatError, UnsupportedError
from llamapy.tensor import Tensor
from llamapy.testing.model import Fixture, check_model, invented, nmse, results

from .conftest import FOLDER

NUMPY = backends.get("numpy")
RANDOM = np.random.default_rng(5)
TOKENS = [int(t) for t in RANDOM.integers(0, 40, 14)]
# windows everywhere but in layers 1 and 3; the last two layers borrow from the first two
SMALL = {
    "block_count": 4,
    "attention.key_length": 16,
    "attention.key_length_swa": 8,
    "attention.value_length_swa": 8,
    "rope.dimension_count_swa": 8,
    "attention.sliding_window_pattern": [True, False, True, False],
    "attention.shared_kv_layers": 2,
    "embedding_length_per_layer_input": 12,
}
EMBEDDINGS = ("per_layer_*", "*.inp_gate.*", "*.proj.weight", "*.post_norm.*", "*.attn_[kv].weight")
EXPERTS = ("*_exps.*", "*.ffn_gate_inp.*", "*.pre_ffw_norm_2.*", "*.post_ffw_norm_[12].*")


def from_a_table(exact, x):
    """GELU as llama.cpp has it, in half precision."""
    h = x.astype(np.float16).astype(np.float32)
    y = exact(h).astype(np.float16).astype(np.float32)
    return np.where(x <= -10, np.float32(0), np.where(x >= 10, x, y))


@pytest.mark.parametrize(
    ("name", "limit"), [("gemma3n-dense", 1e-5), ("gemma4-dense", 1e-10), ("gemma4-moe", 1e-10)]
)
def test_with_gelu_from_a_table(name, limit, monkeypatch, request):
    """What the limits of these leave open is no more than the table, layer by layer."""
    fixture = Fixture.read(FOLDER / f"{name}.json")
    model = fixture.model()
    monkeypatch.setattr(ops.gelu, "definition", partial(from_a_table, ops.gelu.definition))
    output = model.forward(fixture.tokens, logits="all", capture=("blk.*.l_out",))
    assert nmse(output.logits[fixture.positions], fixture.logits) <= limit
    golden = request.getfixturevalue("golden_folder")
    rows = json.loads((golden / "oracle" / "traces" / f"{name}.trace.json").read_text())
    for point, _, last, size in rows:
        base, _, layer = point.partition("-")
        if base == "l_out" and int(layer) < 5:
            got = output.captured[f"blk.{layer}.l_out"]
            row = got.reshape(-1, got.shape[-1])[-1, : len(last)]
            np.testing.assert_allclose(row, last, rtol=2e-5, atol=2e-5 * size)


class TestBorrowedKeys:
    def test_they_take_no_memory(self):
        model = invented("gemma4", SMALL, optional=EMBEDDINGS)
        states = model.decoder.states()
        assert [isinstance(state, BorrowedKV) for state in states] == [False, False, True, True]
        assert [states[2].lender, states[3].lender] == states[:2]
        two = {**SMALL, "block_count": 2, "attention.shared_kv_layers": 0}
        alone = invented("gemma4", two, optional=EMBEDDINGS)
        assert model.cache(64).n_bytes == alone.cache(64).n_bytes > 0

    def test_what_was_borrowed_moves_once(self):
        model = invented("gemma4", SMALL, optional=EMBEDDINGS)
        cache = model.cache(64)
        model.run(cache, Batch.of(TOKENS[:4]))
        cache.shift(3)
        moved = cache.states[0].k.numpy()[:4].copy()
        there = model.cache(64)
        model.run(there, Batch(TOKENS[:4], [0] * 4, [3], positions=[3, 4, 5, 6]))
        np.testing.assert_allclose(moved, there.states[0].k.numpy()[:4], rtol=1e-5, atol=1e-5)

    def test_copied_cells_are_the_same(self):
        model = invented("gemma4", SMALL, optional=EMBEDDINGS)
        cache = model.cache(64, n_sequences=2)
        model.run(cache, Batch.of(TOKENS))
        cache.copy(0, 1)
        got = model.run(cache, Batch.of([7], 1))[-1]
        assert nmse(got, model.forward([*TOKENS, 7]).logits[-1]) < 1e-10

    def test_of_a_layer_that_sees_less(self):
        pattern = [True, True, True, False]
        with pytest.raises(FormatError, match="layer 3 should use the keys of layer 1"):
            invented("gemma4", {**SMALL, "attention.sliding_window_pattern": pattern})


class TestGemma4:
    def test_every_way_of_computing(self):
        for optional in ((), EMBEDDINGS, EXPERTS, ("rope_freqs.*", "*.layer_output_scale.*")):
            check_model(invented("gemma4", SMALL, optional=optional), TOKENS)

    def test_queries_keys_and_values_from_one_matrix(self):
        split = invented("gemma4", SMALL, optional=EMBEDDINGS)
        weights = {name: tensor.numpy() for name, tensor in split.decoder.weights().items()}
        for layer in range(4):
            parts = [weights.pop(f"blk.{layer}.attn_{part}.weight") for part in "qkv"]
            weights[f"blk.{layer}.attn_qkv.weight"] = np.concatenate(parts)
        fused = build(split.metadata, weights, NUMPY, kv_type="f32")
        assert nmse(results(fused, TOKENS), results(split, TOKENS)) < 1e-10

    def test_keys_and_values_of_other_sizes(self):
        with pytest.raises(UnsupportedError, match=r"16 and 8 values, and values 16 and 4"):
            invented("gemma4", {**SMALL, "attention.value_length_swa": 4})


class TestOperations:
    def test_streams_are_mixed(self):
        x = RANDOM.standard_normal((2, 3, 5)).astype(np.float32)
        by = RANDOM.standard_normal((2, 4, 3)).astype(np.float32)
        got = ops.mix_streams(Tensor.of(x, NUMPY), Tensor.of(by, NUMPY)).numpy()
        want = sum(by[1, 2, j] * x[1, j] for j in range(3))
        np.testing.assert_allclose(got[1, 2], want, rtol=1e-5)

    def test_as_long_as(self):
        x = RANDOM.standard_normal((2, 3, 5)).astype(np.float32)
        like = np.array([[3, 4, 0, 0, 0], [0, 0, 0, 0, 1]], np.float32)
        got = ops.as_long_as(Tensor.of(x, NUMPY), Tensor.of(like, NUMPY)).numpy()
        lengths = np.linalg.norm(got, axis=-1)
        np.testing.assert_allclose(lengths, [[5, 5, 5], [1, 1, 1]], rtol=1e-5)
        np.testing.assert_allclose(got[0, 0] / got[0, 0, 0], x[0, 0] / x[0, 0, 0], rtol=1e-5)

    def test_excess(self):
        x = np.array([[1, 2, 3, 4, 10]], np.float32)
        got = ops.excess(Tensor.of(x, NUMPY), deviations=1.0).numpy()
        np.testing.assert_allclose(got, [[0, 0, 0, 0, 10 - 4 - np.sqrt(12.5)]], rtol=1e-5)
