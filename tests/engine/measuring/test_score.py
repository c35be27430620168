"""Scores: forward's own logits, whatever is computed together."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy.engine.measuring import teacher_forcing
from llamapy.errors import ShapeError, UnsupportedError
from llamapy.testing.model import invented

TEXTS = ["the cat runs in the red house", "a dog", "hello world and hello tree", "the the the"]


def expected(model, tokens):
    """Log-probabilities straight from the definition."""
    logits = model.forward(tokens, logits="all").logits.astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    rows = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return rows[np.arange(len(tokens) - 1), tokens[1:]]


def test_scores_are_those_of_forward(dense):
    for score, text in zip(dense.score(TEXTS), TEXTS, strict=True):
        assert score.tokens == dense.tokenizer.encode(text)
        assert len(score.logprobs) == len(score.tokens)
        assert np.isnan(score.logprobs[0])
        want = expected(dense, score.tokens)
        np.testing.assert_allclose(score.logprobs[1:], want, atol=1e-5)
        assert score.total == pytest.approx(want.sum(), abs=1e-4)
        assert score.mean == pytest.approx(want.mean(), abs=1e-5)


@pytest.mark.parametrize(("n_batch", "logit_bytes"), [(7, 1 << 27), (512, 8000), (16, 3000)])
def test_pieces_change_nothing(dense, monkeypatch, n_batch, logit_bytes):
    want = dense.score(TEXTS)
    monkeypatch.setattr(teacher_forcing, "LOGIT_BYTES", logit_bytes)
    for got, whole in zip(dense.score(TEXTS, n_batch=n_batch), want, strict=True):
        np.testing.assert_allclose(got.logprobs, whole.logprobs, atol=1e-5)


def test_no_more_logits_are_there_than_allowed(dense, monkeypatch):
    monkeypatch.setattr(teacher_forcing, "LOGIT_BYTES", 5 * 4 * dense.decoder.n_vocab)
    tokens = list(range(60))
    pieces = list(teacher_forcing.teacher_forced(dense, [tokens]))
    assert max(len(piece.logits) for piece in pieces) == 5
    assert [piece.start for piece in pieces] == list(range(0, 59, 5))
    assert sum(len(piece.logits) for piece in pieces) == 59


def test_one_text_has_one_score(dense):
    one, many = dense.score(TEXTS[0]), dense.score(TEXTS[:1])
    assert isinstance(many, list)
    assert len(many) == 1
    np.testing.assert_array_equal(one.logprobs, many[0].logprobs)
    np.testing.assert_array_equal(dense.score(one.tokens).logprobs, one.logprobs)


@pytest.mark.parametrize("architecture", ["mamba2", "gemma3", "deepseek2"])
def test_other_memories_score_as_well(architecture):
    model = invented(architecture)
    texts = [[3, 1, 4, 1, 5, 9, 2, 6, 5, 3], [2, 7, 1, 8], [1]]
    for score, tokens in zip(model.score(texts, n_batch=6), texts, strict=True):
        np.testing.assert_allclose(score.logprobs[1:], expected(model, tokens), atol=1e-4)


def test_a_score_shows_itself(dense):
    score = dense.score("a <b> cat")
    assert "<Score of" in repr(score)
    shown = score._repr_html_()
    assert "&lt;" in shown
    assert "<b>" not in shown
    single = dense.score([5])
    assert np.isnan(single.mean)
    assert "1 tokens" in single._repr_html_()


def test_what_cannot_be_scored_is_refused(dense):
    with pytest.raises(ShapeError, match="no tokens to compute"):
        dense.score([[]])
    with pytest.raises(UnsupportedError, match=r"300 tokens, and this model is loaded with a co"):
        dense.score([1] * 300)
    with pytest.raises(UnsupportedError, match="neither text nor a list of token ids"):
        dense.score([1.5, 2.5])
    with pytest.raises(UnsupportedError, match="does not predict each token from those before"):
        invented("bert").score([1, 2, 3])
    with pytest.raises(UnsupportedError, match="does not predict each token from those before"):
        invented("llada").score([1, 2, 3])
    with pytest.raises(UnsupportedError, match="this file has none: pass lists of token ids"):
        invented("llama").score("text")
