"""Encoders in all their kinds, against llama.cpp: pooling, classifiers, optional weights."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

import numpy as np
import pytest

from llamapy import backends
from llamapy.cache import Batch
from llamapy.engine.load import build
from llamapy.errors import UnsupportedError
from llamapy.testing.model import Fixture, fill, invented, nmse

from .conftest import FOLDER

GOLDEN = json.loads((FOLDER / "encoders" / "variants.json").read_text())
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9]
# llama.cpp takes GELU from a table in half precision
EXACT = ("nomic", "modern-silu", "neo", "llama")


def model_of(case):
    fixture = Fixture.read(FOLDER / f"{case['fixture']}.json")
    architecture = fixture.metadata["general.architecture"]
    metadata = {**fixture.metadata, **{f"{architecture}.{k}": v for k, v in case["keys"].items()}}
    shapes = {
        name: shape
        for name, shape in fixture.tensors.items()
        if not any(fnmatchcase(name, pattern) for pattern in case["removed"])
    }
    shapes |= {name: tuple(shape) for name, shape in case["added"].items()}
    weights = {name: fill(name, shape, GOLDEN["seed"]) for name, shape in shapes.items()}
    return build(metadata, weights, backends.get("numpy"), kv_type="f32")


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_variants(case):
    model, texts = model_of(case), GOLDEN["texts"]
    rows, columns = GOLDEN["rows"], GOLDEN["columns"]
    for pooling, want in case["results"].items():
        if pooling == "decode":
            got = model.forward(texts[1], encoder_tokens=GOLDEN["source"], logits="all").logits
        elif pooling == "none":
            got = model.embed(texts[1], pooling="none")
        else:
            got = model.embed(texts, pooling=pooling)
        limit = 1e-10 if case["name"].startswith(EXACT) else 2e-6
        assert nmse(got[-rows:, :columns], want) < limit, pooling


# ---- pooling


@pytest.mark.parametrize("architecture", ["bert", "modern-bert", "t5encoder", "llama", "dream"])
def test_pooling_is_of_each_text_alone(architecture):
    model = invented(architecture)
    texts = [TOKENS, TOKENS[2:5], TOKENS[::-1]]
    tokens = model.embed(TOKENS, "none")
    wanted = {"mean": tokens.mean(0), "cls": tokens[0], "last": tokens[-1]}
    for pooling, want in wanted.items():
        together = model.embed(texts, pooling)
        assert together.shape == (3, 32)
        assert nmse(together[0], want) < 1e-10
        for row, text in zip(together, texts, strict=True):
            assert nmse(model.embed(text, pooling)[0], row) < 1e-10


def test_more_tokens_than_one_batch_takes(monkeypatch):
    from llamapy.engine import embed

    model = invented("bert")
    texts = [TOKENS[:n] for n in (5, 3, 7, 1, 2)]
    want = model.embed(texts, "mean")
    monkeypatch.setattr(embed, "N_BATCH", 8)
    np.testing.assert_allclose(model.embed(texts, "mean"), want, rtol=1e-4, atol=1e-6)


def test_the_file_says_how_to_pool():
    assert invented("bert").embed(TOKENS).shape == (13, 32)
    assert invented("bert", {"pooling_type": 1}).embed([TOKENS, TOKENS]).shape == (2, 32)
    with pytest.raises(UnsupportedError, match=r"pooling_type is 9 in this file.*pooling='mean'"):
        invented("bert", {"pooling_type": 9}).embed(TOKENS)


def test_what_cannot_be_embedded_is_refused():
    model = invented("bert")
    assert [rows.shape for rows in model.embed([TOKENS, TOKENS[:4]], "none")] == [(13, 32), (4, 32)]
    with pytest.raises(UnsupportedError, match="pooling is 'max': choose one of none, mean"):
        model.embed(TOKENS, "max")
    with pytest.raises(UnsupportedError, match="needs a classifier, and this Bert has none"):
        model.embed(TOKENS, "rank")
    with pytest.raises(UnsupportedError, match="pass lists of token ids"):
        model.embed(["some text"], "mean")
    with pytest.raises(UnsupportedError, match="200 tokens, and this model is loaded with a cont"):
        model.embed([1] * 200, "mean")
    with pytest.raises(UnsupportedError, match=r"embeds no text: model\.encode gives"):
        invented("t5").embed(TOKENS, "mean")


# ---- seeing both ways


def test_a_window_reaches_to_both_sides():
    """A window of 5 is two positions to each side, in a model of one such layer."""
    # the pattern is given for each layer
    sizes = {"block_count": 1, "attention.sliding_window_pattern": [True]}
    model = invented("modern-bert", sizes)
    want = model.forward(TOKENS).embeddings
    for at in range(len(TOKENS)):
        changed = [*TOKENS[:at], 30, *TOKENS[at + 1 :]]
        differs = np.abs(model.forward(changed).embeddings - want).max(1) > 1e-4
        assert np.flatnonzero(differs).tolist() == [
            i for i in range(len(TOKENS)) if abs(i - at) <= 2
        ]


@pytest.mark.parametrize("architecture", ["bert", "llada"])
def test_every_token_sees_all_others(architecture):
    model = invented(architecture)
    first, second = (model.forward([*TOKENS[:-1], t], logits="all", hidden=(-1,)) for t in (7, 8))
    assert (np.abs(first.hidden[-1] - second.hidden[-1]).max(1) > 1e-5).all()


def test_encoders_give_embeddings_and_decoders_logits():
    encoder, decoder = invented("bert").forward(TOKENS), invented("llama").forward(TOKENS)
    assert (encoder.embeddings.shape, encoder.logits.shape) == ((13, 32), (0, 40))
    assert (decoder.embeddings.shape, decoder.logits.shape) == ((0, 32), (1, 40))


def test_what_sees_a_text_as_a_whole_does_not_continue_it():
    with pytest.raises(UnsupportedError, match="Dream sees a sequence as a whole"):
        invented("dream").generate(TOKENS)


def test_learned_positions_end():
    model = invented("bert")
    weights = {name: tensor.numpy() for name, tensor in model.decoder.weights().items()}
    with pytest.raises(UnsupportedError, match="n_ctx is 129, and this model has learned 128"):
        build(model.metadata, weights, model.backend, n_ctx=129)


# ---- an encoder beside a decoder


def test_a_decoder_goes_on_from_what_was_encoded():
    model = invented("t5", {"decoder_start_token_id": 2})
    cache = model.cache(32)
    model.encode(cache, TOKENS)
    tokens = [2]
    for _ in range(6):
        tokens.append(int(model.run(cache, Batch.of(tokens[-1:]))[-1].argmax()))
    assert model.generate(TOKENS, max_tokens=6, temperature=0).tokens == tokens[1:]
    other = model.forward(tokens, encoder_tokens=TOKENS[::-1]).logits
    assert np.abs(other - model.forward(tokens, encoder_tokens=TOKENS).logits).max() > 1e-3


def test_sequences_share_what_was_encoded():
    model = invented("t5")
    cache = model.cache(32, n_sequences=2)
    model.encode(cache, TOKENS, 0)
    cache.copy(0, 1)
    want = model.forward([1, 2, 3], encoder_tokens=TOKENS, logits="all").logits
    for sequence in (0, 1):
        got = model.run(cache, Batch.of([1, 2, 3], sequence, logits="all"))
        assert nmse(got, want) < 1e-10
        cache.remove(sequence, 1)  # what was encoded stays
        again = model.run(cache, Batch.of([2, 3], sequence, logits="all"))
        assert nmse(again, want[1:]) < 1e-10
        cache.remove(sequence)
    with pytest.raises(UnsupportedError, match="nothing was encoded for sequence 0"):
        model.run(cache, Batch.of([1]))
    assert cache.encoded.n_free() == cache.encoded.n_pages


def test_encoding_is_refused_where_it_makes_no_sense():
    with pytest.raises(UnsupportedError, match="Llama has no encoder beside its decoder"):
        invented("llama").forward(TOKENS, encoder_tokens=TOKENS)
    model = invented("t5")
    with pytest.raises(UnsupportedError, match="or pass encoder_tokens"):
        model.forward(TOKENS)
    with pytest.raises(UnsupportedError, match="does not say with which token its decoder starts"):
        model.generate(TOKENS)
    cache = model.cache(8)
    with pytest.raises(UnsupportedError, match="13 encoded tokens do not fit"):
        model.encode(cache, TOKENS)
