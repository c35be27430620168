"""Perplexity and divergence, against what llama-perplexity prints."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy.engine.generating.chunks import chunked
from llamapy.engine.measuring import teacher_forcing
from llamapy.engine.measuring.saved_logits import SavedLogits, encode_rows, saving_surprises
from llamapy.errors import Cancelled, FormatError, OutputError, ShapeError, UnsupportedError
from llamapy.testing.model import invented


@pytest.mark.parametrize("name", ["dense", "experts", "rounded"])
def test_it_is_what_llama_perplexity_prints(models, text, figures, name):
    found = models[name].perplexity(text, n_ctx=64)
    value, uncertainty = figures[name]
    assert found.value == pytest.approx(value, rel=1e-5)
    assert found.uncertainty == pytest.approx(uncertainty, rel=1e-4)


def test_a_stride_lets_chunks_overlap(dense, text, figures):
    found = dense.perplexity(text, n_ctx=256, stride=20)
    assert found.value == pytest.approx(figures["strided"][0], rel=1e-5)
    assert found.n_tokens == 20 * len(found.chunks)


def test_neither_batches_nor_pieces_matter(dense, text, monkeypatch):
    want = dense.perplexity(text, n_ctx=64, n_chunks=5)
    monkeypatch.setattr(teacher_forcing, "LOGIT_BYTES", 13 * 4 * dense.decoder.n_vocab)
    for n_batch in (24, 512):
        found = dense.perplexity(text, n_ctx=64, n_chunks=5, n_batch=n_batch)
        np.testing.assert_allclose(found.chunks, want.chunks, rtol=1e-5)


def test_chunks_begin_as_texts_do(dense, text):
    chunks = chunked(dense, text, 64)
    assert {chunk[0] for chunk in chunks.chunks} == {dense.tokenizer.bos}
    assert chunks.chunks[1][1:] == chunks.tokens[65:128]
    assert chunks.targets(1) == chunks.tokens[64 + 33 : 128]
    ids = dense.tokenizer.encode(text)
    assert dense.perplexity(ids, n_ctx=64).value == dense.perplexity(text, n_ctx=64).value


def test_progress_is_told_and_may_stop_it(dense, text):
    told = []
    dense.perplexity(text, n_ctx=64, n_chunks=3, progress=lambda *at: told.append(at))
    assert told == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(Cancelled, match="after 2 chunks"):
        dense.perplexity(text, n_ctx=64, progress=lambda done, total: done < 2)


def test_a_perplexity_shows_itself(dense, text):
    found = dense.perplexity(text, n_ctx=64, n_chunks=2)
    assert float(found) == found.value
    assert repr(found).startswith(f"<Perplexity {found.value:.4f} +/- ")
    assert "62 tokens in 2 chunks of 64" in repr(found)
    assert f"perplexity {found.value:.4f}" in found._repr_html_()


def test_texts_that_are_too_short_are_refused(dense, text):
    with pytest.raises(ShapeError, match=r"chunks of 64 take 128 at least: pass .* n_ctx="):
        dense.perplexity(text[:60], n_ctx=64)
    with pytest.raises(UnsupportedError, match=r"do not fit into this model's context of 256"):
        dense.perplexity(text)
    with pytest.raises(ShapeError, match="a stride is 0 or shorter"):
        dense.perplexity(text, n_ctx=64, stride=64)
    with pytest.raises(ShapeError, match="n_chunks is 0"):
        dense.perplexity(text, n_ctx=64, n_chunks=0)


# ---- divergence

PRINTED = 2e-2  # of a percentage that has three digits


def test_divergence_from_saved_logits_is_what_llama_perplexity_prints(models, data, figures):
    found = models["rounded"].kl_divergence(data / "base.kld")
    value, value_error, ratio, ratio_error, kld, kld_error, rms, _, top, top_error = figures[
        "divergence"
    ]
    assert found.perplexity == pytest.approx((value, value_error), rel=1e-4)
    assert found.log_ratio == pytest.approx((ratio, ratio_error), abs=1e-5)
    assert found.mean == pytest.approx((kld, kld_error), abs=1e-5)
    assert 100 * found.p_change_rms[0] == pytest.approx(rms, abs=1e-3)
    assert 100 * found.same_top[0] == pytest.approx(top, abs=1e-3)
    assert 100 * found.same_top[1] == pytest.approx(top_error, abs=1e-3)


def test_divergence_from_a_model_is_that_from_its_saved_logits(models, data, text):
    direct = models["rounded"].kl_divergence(models["dense"], text, n_ctx=64, n_chunks=3)
    saved = models["rounded"].kl_divergence(data / "base.kld")
    assert direct.mean == pytest.approx(saved.mean, rel=1e-3)
    np.testing.assert_allclose(direct.tokens.surprise, saved.tokens.surprise, rtol=1e-5)
    np.testing.assert_allclose(direct.tokens.base_surprise, saved.tokens.base_surprise, rtol=1e-4)


def test_divergence_is_what_its_definition_says(models, text):
    model, base = models["rounded"], models["dense"]
    chunks = chunked(model, text, 64, n_chunks=1)
    p, q = (
        np.exp(m.forward(chunks.chunks[0], logits="all").logits.astype(np.float64))
        for m in (base, model)
    )
    p, q = (rows / rows.sum(1, keepdims=True) for rows in (p, q))
    want = (p * np.log(p / q)).sum(1)[32:63]
    found = model.kl_divergence(base, text, n_ctx=64, n_chunks=1)
    np.testing.assert_allclose(found.tokens.kld, want, rtol=1e-3)
    assert found.percentile(50) == pytest.approx(np.median(want), rel=1e-3)
    assert found.correlation == pytest.approx(
        np.corrcoef(found.tokens.surprise, found.tokens.base_surprise)[0, 1]
    )
    assert found.same_top[0] == (p.argmax(1) == q.argmax(1))[32:63].mean()


def test_a_model_does_not_diverge_from_itself(dense, text):
    found = dense.kl_divergence(dense, text, n_ctx=64, n_chunks=2)
    assert found.mean[0] == pytest.approx(0, abs=1e-6)
    assert found.ratio[0] == pytest.approx(1, abs=1e-6)
    assert found.same_top == (1.0, 0.0)
    assert "same top token" in str(found)
    assert "<table>" in found._repr_html_()


def test_logits_are_saved_as_llama_perplexity_saves_them(dense, data, text, tmp_path):
    chunks = chunked(dense, text, 64, n_chunks=3)
    surprise = list(saving_surprises(dense, chunks, tmp_path / "own.kld"))
    own, theirs = SavedLogits(tmp_path / "own.kld"), SavedLogits(data / "base.kld")
    assert (tmp_path / "own.kld").stat().st_size == (data / "base.kld").stat().st_size
    assert own.tokens() == theirs.tokens()
    for chunk in range(3):
        ours, wanted = own.read(chunk, 0, 31), theirs.read(chunk, 0, 31)
        # one step of the 65535 between the likeliest and what lies 16 below
        np.testing.assert_allclose(ours, wanted, atol=16 / 65535)
        rows = np.arange(31)
        np.testing.assert_allclose(
            -ours[rows, chunks.targets(chunk)], surprise[chunk], atol=16 / 65535
        )


def test_alike_logits_are_saved(tmp_path):
    rows = encode_rows(np.full((2, 5), 3, np.float32))
    np.testing.assert_allclose(rows["least"], -np.log(5), rtol=1e-6)
    assert not rows["steps"].any()
    assert rows["steps"].shape == (2, 6)


def test_a_file_that_cannot_be_written_whole_is_not_there(dense, text, tmp_path):
    chunks = chunked(dense, text, 64, n_chunks=3)
    saving = saving_surprises(dense, chunks, tmp_path / "own.kld")
    next(saving)
    saving.close()
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match="there is no folder"):
        next(saving_surprises(dense, chunks, tmp_path / "none" / "own.kld"))
    strided = chunked(dense, text, 64, stride=10, n_chunks=3)
    with pytest.raises(ShapeError, match="leave stride out"):
        next(saving_surprises(dense, strided, tmp_path / "own.kld"))


def test_what_cannot_be_compared_is_refused(dense, data, text, tmp_path):
    with pytest.raises(ShapeError, match="compare models of one vocabulary"):
        dense.kl_divergence(invented("llama"), text, n_ctx=64)
    with pytest.raises(ShapeError, match="compare models of one vocabulary"):
        invented("llama").kl_divergence(data / "base.kld")
    with pytest.raises(UnsupportedError, match="leave the text out"):
        dense.kl_divergence(data / "base.kld", text)
    with pytest.raises(UnsupportedError, match="pass text="):
        dense.kl_divergence(dense)
    raw = (data / "base.kld").read_bytes()
    for broken, message in (
        (b"", "has no saved logits"),
        (b"GGUF" + raw[4:], "has no saved logits"),
        (raw[:-1], "is cut off"),
        (raw[:8] + bytes(4) + raw[12:], "0 tokens of a vocabulary"),
        (raw[:20] + b"\xff" * 4 + raw[24:], "not in its vocabulary"),
    ):
        path = tmp_path / "broken.kld"
        path.write_bytes(broken)
        with pytest.raises(FormatError, match=message):
            dense.kl_divergence(path)
