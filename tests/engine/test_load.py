"""Loading files, and looking inside of what they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llamapy import gguf, quants
from llamapy.backends import get as get_backend
from llamapy.cache import Batch
from llamapy.engine.load import build, load
from llamapy.errors import (
    Cancelled,
    FormatError,
    LlamapyError,
    ShapeError,
    UnsupportedError,
)
from llamapy.models.llama import Llama
from llamapy.testing.model import Fixture, check_model, nmse

FOLDER = Path(__file__).parent.parent / "data" / "archs"


@pytest.fixture(scope="module")
def fixture():
    return Fixture.read(FOLDER / "llama-dense.json")


@pytest.fixture(scope="module")
def path(fixture, tmp_path_factory):
    """The fixture as a GGUF file."""
    path = tmp_path_factory.mktemp("load") / "model.gguf"
    gguf.write(path, fixture.metadata, fixture.weights())
    return path


@pytest.fixture(scope="module")
def model(path):
    with load(path, device="numpy", kv_type="f32") as model:
        yield model


def test_a_file_gives_the_same_as_its_arrays(model, fixture):
    got = model.forward(fixture.tokens, logits="all").logits
    np.testing.assert_array_equal(got, fixture.model().forward(fixture.tokens, logits="all").logits)
    assert nmse(got[fixture.positions], fixture.logits) < 1e-11


def test_a_model_says_what_it_is(model):
    assert model.metadata["general.architecture"] == "llama"
    assert model.config.n_layer == 2
    assert model.n_ctx == model.config.n_ctx == 256
    assert repr(model) == "<Model Llama: 2 layers of 256, 128 tokens, on numpy>"


@pytest.mark.parametrize("name", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q6_K"])
def test_packed_weights_compute_as_what_they_hold(fixture, tmp_path, name):
    """A quantized file gives what its decoded weights give, to the last bit but for sums' order."""
    quant = quants.get(name)
    packed, decoded = fixture.weights(), fixture.weights()
    for tensor, array in fixture.weights().items():
        if array.ndim == 2 and array.shape[-1] % quant.block == 0:
            raw = quant.quantize(array)
            packed[tensor] = gguf.Encoded(quant, array.shape, raw)
            decoded[tensor] = quant.dequantize(raw, array.shape)
    path = tmp_path / "packed.gguf"
    gguf.write(path, fixture.metadata, packed)
    want = build(fixture.metadata, decoded, get_backend("numpy"), kv_type="f32")
    with load(path, device="numpy", kv_type="f32") as model:
        weight = model.decoder.layers[0].attn_output.weight
        assert weight.quant is quant
        got = model.forward(fixture.tokens, logits="all").logits
    assert nmse(got, want.forward(fixture.tokens, logits="all").logits) < 1e-12


@pytest.mark.parametrize("logits", ["last", "all", "none"])
def test_logits_of_the_last_token_of_all_or_of_none(model, fixture, logits):
    tokens = fixture.tokens[:5]
    want = model.forward(tokens, logits="all").logits
    got = model.forward(tokens, logits=logits).logits
    assert got.shape == ({"last": 1, "all": 5, "none": 0}[logits], 128)
    np.testing.assert_allclose(got, want[5 - len(got) :], rtol=1e-4, atol=1e-5)


def test_hidden_states_and_captured_points(model, fixture):
    tokens = fixture.tokens[:5]
    out = model.forward(tokens, hidden=(0, 1, -1), capture=("blk.1.ffn_out", "blk.*.kq_soft_max"))
    assert set(out.hidden) == {0, 1, -1}
    embedding = model.decoder.ends.token_embd.weight.numpy()
    np.testing.assert_array_equal(out.hidden[0], embedding[tokens])
    assert out["blk.1.ffn_out"].shape == (5, 256)
    shares = out["blk.0.kq_soft_max"]  # [5 tokens, 2 heads, cells]
    np.testing.assert_allclose(shares.sum(-1), 1, rtol=1e-5)
    assert (np.triu(shares[:, 0, :5], 1) == 0).all()
    with pytest.raises(KeyError, match=r"'blk.7.x' was not captured"):
        out["blk.7.x"]
    with pytest.raises(ShapeError, match="hidden state 3 does not exist: there are 0 to 2"):
        model.forward(tokens, hidden=(3,))


def test_hooks_change_what_passes(model, fixture):
    tokens = fixture.tokens[:5]
    plain = model.forward(tokens).logits
    model.hooks["blk.0.ffn_out"] = lambda name, x: x * 0
    try:
        out = model.forward(tokens, capture=("blk.0.*",))
    finally:
        model.hooks.clear()
    np.testing.assert_array_equal(out["blk.0.l_out"], out["blk.0.ffn_inp"])
    assert np.abs(out.logits - plain).max() > 1e-2
    np.testing.assert_array_equal(model.forward(tokens).logits, plain)


def test_a_name_that_stands_for_nothing_is_refused(model):
    says = r"no point .* is named 'blk.0.ffn_oot': there are blk.0.ffn_out"
    with pytest.raises(UnsupportedError, match=says):
        model.forward([1, 2], capture=("blk.0.ffn_oot",))


def test_a_step_that_fails_leaves_the_cache_as_it_was(model, fixture):
    tokens = fixture.tokens
    want = model.forward(tokens[:12]).logits
    cache = model.cache(64)
    model.run(cache, Batch.of(tokens[:10], logits="none"))

    def fail(name, x):
        raise RuntimeError("a hook of one's own")

    for n in (1, 20):  # replayed, eager
        model.hooks["blk.1.ffn_out"] = fail
        try:
            with pytest.raises(RuntimeError):
                model.run(cache, Batch.of(tokens[10 : 10 + n]))
        finally:
            model.hooks.clear()
        assert cache.end() == 10
    got = model.run(cache, Batch.of(tokens[10:12]))
    assert nmse(got, want) < 1e-10


def test_tokens_are_checked(model):
    with pytest.raises(UnsupportedError, match=r"token 128 is not in the vocabulary.*0 to 127"):
        model.forward([3, 128])
    with pytest.raises(ShapeError, match="no tokens"):
        model.forward([])


def test_progress_is_told_and_may_stop_it(path):
    calls = []
    load(path, device="numpy", progress=lambda *done: calls.append(done)).close()
    total = calls[0][1]
    assert calls == [(i + 1, total) for i in range(total)]
    with pytest.raises(Cancelled, match="stopped by its progress callback after 3 tensors"):
        load(path, device="numpy", progress=lambda done, total: done < 3)


def test_a_closed_model_says_so(path):
    model = load(path, device="numpy")
    model.close()
    model.close()
    assert repr(model) == "<Model, closed>"
    with pytest.raises(LlamapyError, match="this model is closed"):
        model.forward([1])


def test_bytes_and_an_architecture_of_your_own(path, fixture):
    class Louder(Llama):
        def head(self, x):
            from llamapy import ops

            return ops.scale(super().head(x), by=2.0)

    with load(path.read_bytes(), device="numpy", model=Louder, kv_type="f32") as model:
        check_model(model, fixture.tokens[:10])
        got = model.forward(fixture.tokens[:4]).logits
    with load(path, device="numpy", kv_type="f32") as model:
        np.testing.assert_array_equal(got, 2 * model.forward(fixture.tokens[:4]).logits)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"device": "tpu"}, UnsupportedError, "there is no device 'tpu'"),
        ({"device": "opencl", "threads": 2}, LlamapyError, "opencl"),
        ({"precision": "float8"}, UnsupportedError, "precision is 'float8'"),
        ({"n_ctx": 0}, UnsupportedError, "n_ctx is 0"),
        ({"device": "numpy", "n_gpu_layers": 9}, UnsupportedError, "no GPU"),
    ],
)
def test_what_cannot_be_honoured_is_refused(path, options, error, says):
    with pytest.raises(error, match=says):
        load(path, **options)


def test_a_tensor_that_nobody_asks_for_is_refused(tmp_path, fixture):
    path = tmp_path / "more.gguf"
    more = {**fixture.weights(), "blk.0.attn_gate.weight": np.zeros((4, 4), np.float32)}
    gguf.write(path, fixture.metadata, more)
    with pytest.raises(UnsupportedError, match=r"llama has no use for blk.0.attn_gate.weight"):
        load(path, device="numpy")


def test_files_that_are_no_models(tmp_path, fixture):
    path = tmp_path / "no.gguf"
    gguf.write(path, {"general.name": "x"}, {"a": np.zeros(3, np.float32)})
    with pytest.raises(FormatError, match=r"general.architecture: the file does not say"):
        load(path, device="numpy")
    gguf.write(path, {"general.architecture": "nothing"}, {"a": np.zeros(3, np.float32)})
    with pytest.raises(UnsupportedError, match="no architecture 'nothing'"):
        load(path, device="numpy")
    path.unlink()  # the file was closed
