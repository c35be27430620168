"""Embedding texts: through the tokenizer, in any order of lengths, normalized."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy.errors import UnsupportedError

TEXTS = ["a", "the cat and the dog sleep in the red house", "hello", "a quick brown dog"]


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_texts_are_embedded_as_their_tokens_are(dense, pooling):
    ids = [dense.tokenizer.encode(text) for text in TEXTS]
    rows = dense.embed(TEXTS, pooling)
    np.testing.assert_array_equal(rows, dense.embed(ids, pooling))
    for row, text in zip(rows, TEXTS, strict=True):
        np.testing.assert_allclose(dense.embed(text, pooling)[0], row, atol=1e-5)


def test_many_lengths_are_computed_in_groups(dense):
    texts = [[1 + i % 50 for i in range(n)] for n in (3, 200, 1, 90, 200, 17, 256, 2)]
    rows = dense.embed(texts, "mean")
    assert rows.shape == (8, 32)
    for row, tokens in zip(rows, texts, strict=True):
        np.testing.assert_allclose(dense.embed([tokens], "mean")[0], row, atol=1e-5)


def test_without_pooling_each_text_has_its_tokens(dense):
    several = dense.embed(TEXTS, "none")
    assert [len(rows) for rows in several] == [len(dense.tokenizer.encode(t)) for t in TEXTS]
    np.testing.assert_allclose(dense.embed(TEXTS[1], "none"), several[1], atol=1e-5)


@pytest.mark.parametrize(("normalize", "order"), [(True, 2), (2, 2), (1, 1), (3.0, 3)])
def test_rows_are_normalized(dense, normalize, order):
    plain, rows = dense.embed(TEXTS, "mean"), dense.embed(TEXTS, "mean", normalize=normalize)
    np.testing.assert_allclose(np.linalg.norm(rows, order, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(rows[0] / plain[0], (rows[0] / plain[0])[0], rtol=1e-4)
    for each in dense.embed(TEXTS, "none", normalize=normalize):
        np.testing.assert_allclose(np.linalg.norm(each, order, axis=1), 1, rtol=1e-5)


def test_a_norm_has_an_order(dense):
    with pytest.raises(UnsupportedError, match="normalize is -1"):
        dense.embed(TEXTS, "mean", normalize=-1)
