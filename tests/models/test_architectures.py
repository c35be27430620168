"""Every architecture with weights invented from its own declarations."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import ops
from llamapy.cache import Batch
from llamapy.engine.load import build
from llamapy.errors import FormatError, UnsupportedError
from llamapy.models import find
from llamapy.models.llama import Llama
from llamapy.plan import PoisonedArena, record
from llamapy.testing import compare
from llamapy.testing.model import cache_for, check_model, invented, nmse, results

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8]


def test_all_ways_of_computing_agree(architecture):
    check_model(invented(architecture), TOKENS)


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_a_packed_cache_agrees_with_itself_and_nearly_with_float32(architecture, kv_type):
    # all experts, for a choice between them may tip over
    sizes = {
        "attention.key_length": 32,
        "attention.value_length": 32,
        "expert_used_count": 4,
    }
    exact, model = (invented(architecture, sizes, kv_type=kind) for kind in ("f32", kv_type))
    # a last digit that differs may be rounded to the next half, so they agree less closely
    check_model(model, TOKENS, tolerance=1e-6 if kv_type == "f16" else 1e-3)
    want, got = results(exact, TOKENS)[-1], results(model, TOKENS)[-1]
    if not model.cache().tables:  # it keeps no keys
        np.testing.assert_array_equal(got, want)
        return
    assert 0 < np.square(got - want).mean() / np.square(want).mean() < 3e-3


def test_nothing_reads_memory_after_its_release(architecture):
    model = invented(architecture)
    cache = cache_for(model, TOKENS[:4])
    want = results(model, TOKENS[:4])
    step = cache.begin(Batch.of(TOKENS[:4], logits="all"))
    plan = record(model.decoder, step, arena=PoisonedArena())
    for _ in range(2):
        np.testing.assert_allclose(plan.output.numpy(), want, rtol=1e-4, atol=1e-5)
        plan.replay()


def test_a_fused_matrix_for_queries_keys_and_values():
    """The same weights in one tensor bind to the other alternative, and compute the same."""
    from llamapy.nn import FusedQKV

    model = invented("llama")
    tensors = {name: tensor.numpy() for name, tensor in model.decoder.weights().items()}
    for index in range(3):
        parts = [tensors.pop(f"blk.{index}.attn_{x}.weight") for x in "qkv"]
        tensors[f"blk.{index}.attn_qkv.weight"] = np.concatenate(parts)
    fused = build(model.metadata, tensors, model.backend, kv_type="f32")
    assert isinstance(fused.decoder.layers[0].attn, FusedQKV)
    got = fused.forward(TOKENS, logits="all").logits
    assert nmse(got, model.forward(TOKENS, logits="all").logits) < 1e-12
    check_model(fused, TOKENS)


def test_tied_embeddings_are_stored_once():
    decoder = invented("llama").decoder
    assert decoder.ends.output is None
    assert decoder.output.weight is decoder.ends.token_embd.weight


@pytest.mark.parametrize(
    ("metadata", "differs"),
    [
        ({"rope.scaling.type": "none", "rope.scaling.factor": 4.0}, False),
        ({"rope.scaling.factor": 4.0}, True),
        ({"rope.scale_linear": 4.0}, True),
        ({"rope.freq_base": 5e5}, True),
        (
            {
                "rope.scaling.type": "yarn",
                "rope.scaling.factor": 4.0,
                "rope.scaling.original_context_length": 32,
            },
            True,
        ),
        ({"rope.dimension_count": 4}, True),
    ],
)
def test_numbers_of_the_file_count(metadata, differs):
    plain = invented("llama", {"attention.key_length": 8}).forward(TOKENS).logits
    model = invented("llama", {"attention.key_length": 8, **metadata})
    check_model(model, TOKENS)
    assert (np.abs(model.forward(TOKENS).logits - plain).max() > 1e-3) == differs


def test_long_contexts_take_the_other_factors():
    model = invented("llama")
    tensors = {name: tensor.numpy() for name, tensor in model.decoder.weights().items()}
    tensors["rope_factors_short.weight"] = np.full(4, 2.0)
    tensors["rope_factors_long.weight"] = np.full(4, 8.0)
    metadata = {
        **model.metadata,
        "llama.rope.scaling.type": "longrope",
        "llama.rope.scaling.original_context_length": 64,
        "llama.rope.scaling.attn_factor": 1.2,
    }
    for n_ctx, factor in ((64, 2.0), (65, 8.0)):
        loaded = build(metadata, tensors, model.backend, n_ctx=n_ctx, kv_type="f32")
        rope = loaded.decoder.rope
        plain = model.decoder.rope.frequencies.numpy()
        np.testing.assert_allclose(rope.frequencies.numpy(), plain / factor, rtol=1e-6)
        assert rope.magnitude == pytest.approx(1.2)
        check_model(loaded, TOKENS)


def test_gemma2_sees_a_window_in_every_second_layer():
    decoder = invented("gemma2").decoder
    assert [decoder.state(i).window for i in range(3)] == [5, None, 5]
    # the window counts: a token beyond it changes nothing in a model of one such layer
    model = invented("gemma2", {"block_count": 1})
    far, near = ([9, *TOKENS[1:]], [*TOKENS[:-3], 9, *TOKENS[-2:]])
    want = model.forward(TOKENS).logits
    np.testing.assert_array_equal(model.forward(far).logits, want)
    assert np.abs(model.forward(near).logits - want).max() > 1e-3


def test_learned_positions_end():
    model = invented("gpt2", {"context_length": 16})
    tensors = {name: tensor.numpy() for name, tensor in model.decoder.weights().items()}
    with pytest.raises(UnsupportedError, match=r"n_ctx is 17, and .* has learned 16 positions"):
        build(model.metadata, tensors, model.backend, n_ctx=17)


class ByBatchSize(Llama):
    """Breaks a rule: what a token gives depends on how many are computed with it."""

    def head(self, x):
        return ops.scale(super().head(x), by=1.0 + x.shape[0] / 1000)


class Forgetful(Llama):
    """Breaks another: values that are read from Python are those of the recording for ever."""

    count = 0

    def head(self, x):
        self.count += 1
        return ops.scale(super().head(x), by=1.0 + self.count / 1000)


@pytest.mark.parametrize("cls", [ByBatchSize, Forgetful])
def test_a_model_that_breaks_the_rules_is_caught(cls):
    model = invented("llama")
    weights = {name: tensor.numpy() for name, tensor in model.decoder.weights().items()}
    broken = build(model.metadata, weights, model.backend, kv_type="f32", model=cls)
    with pytest.raises(AssertionError, match=f"{cls.__name__}, .*the logits of token"):
        check_model(broken, TOKENS)


def test_what_is_assumed_is_checked():
    with pytest.raises(UnsupportedError, match=r"llama.attention.causal is False.*not loaded"):
        invented("llama", {"attention.causal": False})
    with pytest.raises(UnsupportedError, match=r"rope.scaling.type is 'dynamic'"):
        invented("llama", {"rope.scaling.type": "dynamic"})
    with pytest.raises(FormatError, match=r"embedding_length: the value must be int"):
        invented("llama", {"embedding_length": "many"})


def test_an_unknown_architecture_names_those_that_there_are():
    with pytest.raises(UnsupportedError, match=r"no architecture 'lama' \(did you mean llama\?\)"):
        find("lama")


def test_the_first_difference_of_two_devices_is_named():
    from llamapy.backends.numpy import NumPy

    class Wrong(NumPy):
        name = "wrong"
        kernels = {"silu": lambda out, x: np.maximum(x, 0, out=out)}

    model = invented("llama")
    divergence = compare(model, "numpy", Wrong(), TOKENS)
    assert divergence.name == "blk.0.ffn_swiglu"
    assert divergence.operations == ["silu", "mul"]
    assert divergence.operation == "silu"
    assert "blk.0.ffn_swiglu differs" in str(divergence)
    assert compare(model, "numpy", NumPy(), TOKENS) is None
    assert compare(model, "numpy", "numpy") is None


class TestLayerValues:
    def test_a_file_gives_arrays(self):
        sizes = {"feed_forward_length": [16, 48, 32], "attention.sliding_window_pattern": [1, 0, 1]}
        arrays = {name: np.array(values, np.uint32) for name, values in sizes.items()}
        for metadata in (sizes, arrays):
            decoder = invented("gemma3", metadata).decoder
            assert [layer.ffn.ffn_up.weight.shape[0] for layer in decoder.layers] == [16, 48, 32]
            assert [decoder.state(i).window for i in range(3)] == [5, None, 5]

    def test_every_layer_needs_its_own(self):
        with pytest.raises(FormatError, match=r"feed_forward_length: there are 2 values for 3"):
            invented("llama", {"feed_forward_length": [16, 48]})

    def test_each_layer_has_its_own_sizes(self):
        model = invented(
            "llama",
            {
                "feed_forward_length": [16, 48, 32],
                "attention.head_count": [4, 2, 8],
                "attention.head_count_kv": [2, 2, 1],
                "attention.key_length": 8,
            },
        )
        shapes = [layer.ffn.ffn_up.weight.shape for layer in model.decoder.layers]
        assert shapes == [(16, 32), (48, 32), (32, 32)]
        assert model.decoder.layers[2].config.n_head == 8
        check_model(model, TOKENS)
