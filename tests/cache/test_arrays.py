"""What a cache remembers, as arrays: to look at, and to edit."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy.cache import Batch
from llamapy.errors import ShapeError, UnsupportedError
from llamapy.testing.model import invented, nmse


def last(model, cache, tokens, sequence=0):
    return model.run(cache, Batch.of(tokens, sequence))[-1]


def test_keys_and_values_are_those_that_were_computed(model, tokens):
    cache = model.cache(128, kv_type="f32")
    last(model, cache, tokens[:40])
    seen = model.forward(tokens[:40], capture=("blk.*.Kcur", "blk.*.Vcur"))
    for layer in range(2):
        assert cache.keys(layer).shape == (40, 1, 32)
        assert nmse(cache.keys(layer), seen[f"blk.{layer}.Kcur"].reshape(40, 1, 32)) < 1e-10
        assert nmse(cache.values(layer), seen[f"blk.{layer}.Vcur"].reshape(40, 1, 32)) < 1e-10


@pytest.mark.parametrize("kv_type", ["f32", "q8_0"])
def test_an_edit_is_attended_to_and_leaves_others_alone(model, tokens, kv_type):
    cache = model.cache(128, n_sequences=3, kv_type=kv_type)
    last(model, cache, tokens[:40])
    edited, back = cache.fork(), cache.fork()
    values = cache.values(0, edited)
    values[:, :, ::2] *= -1
    cache.set_values(0, values, edited)
    cache.set_keys(1, cache.keys(1, edited), edited)
    np.testing.assert_array_equal(cache.values(0, edited), values)
    want = last(model, cache, [7], 0)
    assert nmse(last(model, cache, [7], edited), want) > 1e-4
    np.testing.assert_array_equal(last(model, cache, [7], back), want)


def test_positions_of_a_window_are_the_last_ones(tokens):
    model = invented("gemma2", {"context_length": 256, "attention.sliding_window": 8})
    cache = model.cache(256, n_batch=16)
    for start in range(0, 240, 16):
        last(model, cache, (tokens * 2)[start : start + 16])
    windowed, whole = cache.positions(0), cache.positions(1)
    assert whole.tolist() == list(range(240))
    assert 8 < len(windowed) < 130
    assert windowed.tolist() == list(range(240 - len(windowed), 240))
    assert len(cache.keys(0)) == len(windowed)


def test_a_latent_has_its_value_in_its_key(tokens):
    model = invented("deepseek2")
    cache = model.cache(64)
    last(model, cache, tokens[:10])
    np.testing.assert_array_equal(cache.values(0), cache.keys(0)[..., : cache.values(0).shape[-1]])


def test_what_does_not_fit_is_refused(on_numpy, tokens):
    cache = on_numpy.cache(64)
    last(on_numpy, cache, tokens[:10])
    with pytest.raises(ShapeError, match=r"shape \[10, 1, 32\], not \[9, 1, 32\]"):
        cache.set_keys(0, cache.keys(0)[:9])
    with pytest.raises(UnsupportedError, match="layer 7 remembers no keys and values; these do: 0"):
        cache.keys(7)
    with pytest.raises(UnsupportedError, match="these do: none"):
        invented("bert").cache().keys(0)
