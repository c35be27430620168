"""Keys and values in each format: what is remembered is what the format rounds it to."""

from __future__ import annotations

import numpy as np
import pytest

import llamapy
from llamapy import backends, gguf
from llamapy.cache import Batch
from llamapy.errors import UnsupportedError
from llamapy.quants import get
from llamapy.testing.model import Fixture, invented, nmse

from .conftest import FOLDER

KINDS = ("f32", "f16", "bf16", "q8_0", "q4_0")
SIZES = {"attention.key_length": 32, "attention.value_length": 32}
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4, 3, 3, 8, 3, 2, 7]
# how far queries of 8 bits, or of BF16, and a last digit that is rounded otherwise, may lead
EXACT = {"f32": 1e-10, "f16": 1e-6, "bf16": 1e-5, "q8_0": 1e-4, "q4_0": 1e-3}
ROUNDED = 5e-2


def run(model, tokens=TOKENS):
    """All but the last few at once, those one by one; the cache, and the logits of the latter."""
    cache = model.cache(64)
    model.run(cache, Batch.of(tokens[:-4]))
    return cache, np.concatenate([model.run(cache, Batch.of([t])) for t in tokens[-4:]])


@pytest.fixture(scope="module")
def numpy_results():
    return {kind: run(invented("llama", SIZES, kv_type=kind)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_definition(kind, numpy_results):
    """The first layer's keys and values are those that F32 remembers, rounded once."""
    plain, cache = numpy_results["f32"][0], numpy_results[kind][0]
    quant = get(kind)
    for read in ("keys", "values"):
        want = getattr(plain, read)(0)
        assert np.array_equal(
            getattr(cache, read)(0), quant.dequantize(quant.quantize(want)).reshape(want.shape)
        )


@pytest.mark.parametrize("kind", KINDS)
def test_the_cpu_agrees(kind, numpy_results):
    cache, want = numpy_results[kind]
    exact = backends.get("cpu", threads=2, precision="float32")
    own, got = run(invented("llama", SIZES, device=exact, kv_type=kind))
    assert nmse(got, want) <= EXACT[kind]
    for read in ("keys", "values"):
        assert nmse(getattr(own, read)(0), getattr(cache, read)(0)) <= EXACT[kind]
    rounded = run(invented("llama", SIZES, device=backends.get("cpu", threads=2), kv_type=kind))[1]
    assert nmse(rounded, want) <= ROUNDED


@pytest.mark.parametrize("device", ["numpy", "cpu"])
def test_what_is_edited_is_what_is_seen(device):
    """Keys and values that go from one cache to another take its memory along."""
    for kind in ("f16", "q8_0"):
        model = invented("llama", SIZES, device=backends.get(device), kv_type=kind)
        first, second = model.cache(64), model.cache(64)
        model.run(first, Batch.of(TOKENS))
        model.run(second, Batch.of(TOKENS[::-1]))
        for layer in range(model.config.n_layer):
            second.set_keys(layer, first.keys(layer))
            second.set_values(layer, first.values(layer))
            assert np.array_equal(first.keys(layer), second.keys(layer))
        got, want = (model.run(cache, Batch.of([7])) for cache in (second, first))
        assert np.array_equal(got, want)


@pytest.mark.parametrize("device", ["numpy", "cpu"])
@pytest.mark.parametrize("kind", ["q8_0", "q4_0"])
def test_heads_that_do_not_divide_into_blocks(device, kind):
    sizes = {"attention.key_length": 24, "attention.value_length": 24, "rope.dimension_count": 24}
    model = invented("llama", sizes, device=backends.get(device), kv_type=kind)
    with pytest.raises(UnsupportedError, match=r"a head of 24 values.*blocks of Q"):
        model.cache(32)


@pytest.mark.parametrize("device", ["numpy", "cpu"])
def test_load_takes_them_all(device, tmp_path):
    fixture = Fixture.read(FOLDER / "llama-dense.json")
    path, want = tmp_path / "model.gguf", None
    gguf.write(path, fixture.metadata, fixture.weights())
    for kind in KINDS:
        with llamapy.load(path, device=device, kv_type=kind) as model:
            cache = model.cache(64)
            got = model.run(cache, Batch.of(fixture.tokens, logits="all"))
            assert cache.states[0].k.dtype is get(kind)
            assert len(model.generate(fixture.tokens, max_tokens=2).tokens) == 2
        want = got if want is None else want
        assert nmse(got, want) <= ROUNDED
