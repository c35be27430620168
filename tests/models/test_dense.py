"""What is particular to dense architectures, beyond what the golden models show."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy.cache import Batch
from llamapy.engine.load import build
from llamapy.errors import FormatError, UnsupportedError
from llamapy.models import architectures, find, llama, qwen2
from llamapy.models._aliases import ALIASES, UNDERSCORED
from llamapy.nn import alibi_slopes
from llamapy.testing.model import check_model, fill, invented, nmse

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]


class TestNames:
    def test_hyphens_and_underscores_are_alike(self):
        assert find("hunyuan_dense") is find("hunyuan-dense")
        assert find("seed-oss") is find("seed_oss")
        assert find("ernie4-5-moe") is find("ernie4_5-moe")

    def test_architectures_are_spelled_as_in_files(self):
        assert {"seed_oss", "hunyuan-dense", "ernie4_5"} <= set(architectures())
        assert not {"seed-oss", "hunyuan_dense", "ernie4-5"} & set(architectures())

    def test_some_names_mean_the_same_file(self):
        assert find("internlm2") is find("xverse") is llama.Llama
        assert find("pangu-embedded") is qwen2.Qwen2
        assert set(ALIASES.values()) <= set(architectures()) - ALIASES.keys()

    def test_a_name_has_one_spelling(self):
        assert len({name.replace("_", "-") for name in architectures()}) == len(architectures())
        assert not set(UNDERSCORED) & ALIASES.keys() - set(architectures())


class TestALiBi:
    def test_slopes_are_a_geometric_series(self):
        np.testing.assert_array_equal(alibi_slopes(8), 0.5 ** np.arange(1, 9))
        np.testing.assert_array_equal(alibi_slopes(1), [2.0**-8])

    def test_heads_beyond_a_power_of_two_stand_between(self):
        np.testing.assert_allclose(alibi_slopes(6), 2.0 ** -np.array([2, 4, 6, 8, 1, 3]))

    @pytest.mark.parametrize("architecture", ["bloom", "refact", "jais", "mpt"])
    def test_only_distances_count(self, architecture):
        """Whatever stands before a text is far away, if it was taken back."""
        model = invented(architecture, {"attention.max_alibi_bias": 8.0})
        want = model.forward(TOKENS).logits
        cache = model.cache()
        got = model.run(cache, Batch(TOKENS, [0] * 12, [11], range(40, 52)))
        assert nmse(got, want) < 1e-10


@pytest.mark.parametrize(
    ("architecture", "metadata", "message"),
    [
        ("nanbeige", {"num_loops": 0}, "cannot be computed 0 times"),
        ("hrm_text", {"block_count": 4}, "4 layers are not 3 passes over stacks of 1"),
        ("graniteswitch", {"adapters.count": 3}, "3 adapters have 2 tokens and 2 substitutes"),
        ("graniteswitch", {"adapters.token_ids_activate": [2, 40]}, "none of the vocabulary of 40"),
        ("mistral3", {"attention.temperature_scale": 0.1, "context_length": 0}, "its length is 0"),
    ],
)
def test_damaged_files_are_refused(architecture, metadata, message):
    with pytest.raises(FormatError, match=message):
        invented(architecture, metadata)


def test_three_biases_beside_one_matrix():
    """The same numbers as three matrices with a bias each."""
    split = invented("qwen2")
    tensors = {name: tensor.numpy() for name, tensor in split.decoder.weights().items()}
    for index in range(3):
        for part, size in (("q", 32), ("k", 16), ("v", 16)):
            name = f"blk.{index}.attn_{part}.bias"
            tensors[name] = fill(name, (size,), 0)
    want = build(split.metadata, tensors, split.backend, kv_type="f32")
    for index in range(3):
        parts = [tensors.pop(f"blk.{index}.attn_{part}.weight") for part in "qkv"]
        tensors[f"blk.{index}.attn_qkv.weight"] = np.concatenate(parts)
    fused = build(split.metadata, tensors, split.backend, kv_type="f32")
    got, want = (model.forward(TOKENS, logits="all").logits for model in (fused, want))
    assert nmse(got, want) < 1e-12


class TestLoops:
    def test_weights_are_there_once(self):
        model = invented("nanbeige", {"num_loops": 3})
        assert len(model.decoder.layers) == len(model.cache().states) == 9
        first, again = model.decoder.layers[0], model.decoder.layers[3]
        assert first.attn_output.weight is again.attn_output.weight
        assert [layer.index for layer in model.decoder.layers] == list(range(9))
        check_model(model, TOKENS)

    def test_hidden_states_of_all_passes(self):
        model = invented("nanbeige", {"num_loops": 2})
        hidden = model.forward(TOKENS, capture=("blk.5.l_out",)).captured
        assert hidden["blk.5.l_out"].shape == (12, 32)


class TestGraniteSwitch:
    def test_an_adapter_counts_from_its_token_on(self):
        model = invented("graniteswitch")
        text = [3, 1, 2, 5, 9]  # 2 stands for the first adapter, and is computed as 7
        got = model.forward(text, logits="all", capture=("adapter_ids",))
        assert got.captured["adapter_ids"].ravel().tolist() == [0, 0, 1, 1, 1]
        plain = model.forward([3, 1, 7, 5, 9], logits="all").logits
        np.testing.assert_allclose(got.logits[:2], plain[:2], rtol=1e-5, atol=1e-5)
        assert (np.abs(got.logits[2:] - plain[2:]).max(-1) > 1e-3).all()

    def test_a_copied_sequence_keeps_its_adapter(self):
        model = invented("graniteswitch")
        cache = model.cache(n_sequences=2)
        model.run(cache, Batch.of([3, 30]))
        cache.copy(0, 1)
        got = model.run(cache, Batch.of([5], 1))
        assert nmse(got, model.forward([3, 30, 5]).logits) < 1e-10


def test_a_chameleon_does_not_say_images():
    model = invented("chameleon", n_vocab=8200)
    logits = model.forward(TOKENS).logits[0]
    assert (logits[4:8196] == np.finfo(np.float32).min).all()
    assert np.isfinite(logits).all()
    assert np.abs(logits[:4]).max() < 1e3
    assert np.abs(logits[8196:]).max() < 1e3


def test_normed_keys_are_not_moved():
    model = invented("hunyuan-dense")
    cache = model.cache()
    model.run(cache, Batch.of(TOKENS))
    cache.remove(0, 0, 2)
    with pytest.raises(UnsupportedError, match="Hunyuan cannot move what it remembers"):
        cache.shift(-2)
