"""Importance matrices: the inputs of products, as llama-imatrix adds them up."""

from __future__ import annotations

import json

import numpy as np
import pytest

import llamapy
from llamapy.cache import Batch
from llamapy.engine.quantizing.collect_imatrix import Collector, combined
from llamapy.engine.quantizing.imatrix import Entry, Imatrix
from llamapy.errors import Cancelled, ImatrixError
from llamapy.testing.model import Fixture, invented


def assert_alike(got, want, rtol):
    assert got.keys() == want.keys()
    for name, entry in want.items():
        assert got[name].counts.tolist() == entry.counts.tolist(), name
        np.testing.assert_allclose(got[name].sums, entry.sums, rtol=rtol, err_msg=name)


def test_it_is_what_llama_imatrix_writes(models, data, text, tmp_path):
    want = Imatrix.open(data / "imatrix.gguf")
    made = models["experts"].imatrix(text, n_ctx=64, process_output=True, dataset="text.txt")
    made.save(tmp_path / "own.gguf")
    got = Imatrix.open(tmp_path / "own.gguf")
    assert_alike(got.entries, want.entries, 1e-4)
    assert (got.chunks, got.chunk_size) == (want.chunks, want.chunk_size)
    assert "output.weight" in got
    assert got["blk.0.ffn_up_exps.weight"].shape == (4, 32)
    assert got.datasets == ("text.txt",)


def test_kernels_are_watched_as_definitions_are(files, data, text):
    with llamapy.load(files["experts"], device="cpu", kv_type="f32", precision="float32") as model:
        made = model.imatrix(text, n_ctx=64, process_output=True, n_batch=200)
    assert_alike(made.entries, Imatrix.open(data / "imatrix.gguf").entries, 1e-4)


def test_fused_products_need_not_be_taken_apart(dense, text, monkeypatch):
    want, calls = dense.imatrix(text, n_ctx=64, n_chunks=2), []

    def swiglu(out, x, gate, up):
        calls.append(x.shape)
        g = x @ gate.T
        out[...] = g / (1 + np.exp(-g)) * (x @ up.T)

    monkeypatch.setitem(dense.backend.kernels, "swiglu", swiglu)
    made = dense.imatrix(text, n_ctx=64, n_chunks=2)
    assert calls
    assert_alike(made.entries, want.entries, 1e-4)


def inputs():
    from pathlib import Path

    path = Path(__file__).parents[2] / "data" / "measuring" / "inputs.json"
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", sorted(inputs()))
def test_all_kinds_of_layers_are_seen(name, data):
    """Rows, and sums over the columns, of every matrix that llama.cpp multiplies with."""
    fixture = Fixture.read(data.parent / "archs" / f"{name}.json")
    model, n = fixture.model(), len(fixture.tokens)
    collector = Collector(model)
    collector.run(model.cache(n, n_batch=n, pad=int), Batch.of(fixture.tokens, logits="none"))
    made = collector.imatrix(n).entries
    want = inputs()[name]
    assert made.keys() == want.keys()
    for weight, (counts, total, weighted) in want.items():
        sums = made[weight].sums.reshape(-1).astype(np.float64)
        assert made[weight].counts.tolist() == counts, weight
        assert sums.sum() == pytest.approx(total, rel=1e-3), weight
        assert sums @ np.linspace(0.5, 1.5, len(sums)) == pytest.approx(weighted, rel=1e-3), weight


def test_neither_batches_nor_hooks_matter(dense, text):
    want = dense.imatrix(text, n_ctx=64, n_chunks=4)
    for n_batch in (30, 150, 512):
        made = dense.imatrix(text, n_ctx=64, n_chunks=4, n_batch=n_batch)
        assert_alike(made.entries, want.entries, 1e-4)
    dense.hooks["blk.0.ffn_out"] = lambda name, x: x * 0
    try:
        made = dense.imatrix(text, n_ctx=64, n_chunks=4)
    finally:
        dense.hooks.clear()
    first, second = "blk.0.ffn_down.weight", "blk.1.attn_q.weight"
    np.testing.assert_allclose(made[first], want[first], rtol=1e-5)
    assert not np.allclose(made[second], want[second], rtol=1e-2)


def test_the_logits_are_the_models_own(dense, text):
    ids = dense.tokenizer.encode(text)[:40]
    collector = Collector(dense, process_output=True)
    cache = dense.cache(40, pad=int)
    logits = collector.run(cache, Batch(ids, [0] * 40, [3, 39]))
    want = dense.forward(ids, logits="all").logits[[3, 39]]
    np.testing.assert_allclose(logits, want, atol=1e-5)
    assert collector.imatrix(40).entries["output.weight"].counts.tolist() == [40]


def test_texts_add_up(dense, text, tmp_path):
    want = dense.imatrix(text, n_ctx=64, n_chunks=6)
    first = dense.imatrix(text, n_ctx=64, n_chunks=4, dataset="one")
    first.save(tmp_path / "first.gguf")
    ids = dense.tokenizer.encode(text)[4 * 64 :]
    made = dense.imatrix(
        ids, n_ctx=64, n_chunks=2, dataset="two", onto=[Imatrix.open(tmp_path / "first.gguf")]
    )
    assert_alike(made.entries, want.entries, 1e-5)
    assert made.chunks == 6
    assert made.datasets == ("one", "two")
    skipped = dense.imatrix(text, n_ctx=64, n_chunks=2, first_chunk=4)
    alone = dense.imatrix(ids, n_ctx=64, n_chunks=2)
    assert_alike(skipped.entries, alone.entries, 1e-6)


def test_older_files_count_chunks():
    entry = Entry(np.array([[2.0, 4.0, 6.0, 8.0]], np.float32), np.array([2]))
    old = Imatrix({"w": entry}, datasets=["old"])
    new = Imatrix({"w": Entry(np.ones((2, 2), np.float32), np.array([8, 24]))}, chunk_size=8)
    made = combined([old, new], 8)
    np.testing.assert_array_equal(made.entries["w"].sums, [[17, 33], [49, 65]])
    assert made.entries["w"].counts.tolist() == [24, 40]
    assert made.chunks == 5
    other = Imatrix({"w": Entry(np.ones((1, 3), np.float32), np.array([8]))}, chunk_size=8)
    with pytest.raises(ImatrixError, match="they are of different models"):
        combined([new, other], 8)


def test_what_is_not_finite_is_refused(files, text):
    with llamapy.load(files["dense"], device="numpy") as model:
        model.hooks["blk.0.ffn_norm"] = lambda name, x: x * np.float32(np.nan)
        with pytest.raises(ImatrixError, match="are not all finite"):
            model.imatrix(text, n_ctx=64)


def test_a_batch_counts_whole_or_not_at_all(dense):
    collector = Collector(dense)
    cache = dense.cache(64, pad=int)
    collector.run(cache, Batch.of([1] * 20, logits="none"))
    before = collector.imatrix(20)

    def interrupt(name, x):
        raise KeyboardInterrupt

    dense.hooks["blk.1.ffn_out"] = interrupt
    try:
        with pytest.raises(KeyboardInterrupt):
            collector.run(cache, Batch.of([1] * 20, 1, logits="none"))
    finally:
        dense.hooks.clear()
    assert_alike(collector.imatrix(20).entries, before.entries, 0)


def test_a_callback_may_stop_it(dense, text):
    with pytest.raises(Cancelled, match="after 1 chunks"):
        dense.imatrix(text, n_ctx=64, progress=lambda done, total: False)


def test_quantizing_takes_it(models, files, text, tmp_path):
    made = invented("llama").imatrix([1, 2, 3, 4] * 16, n_ctx=16)
    assert made["blk.0.attn_q.weight"].shape == (32,)
    matrix = models["dense"].imatrix(text, n_ctx=64)
    plan = llamapy.quantize(files["dense"], tmp_path / "small.gguf", "IQ4_NL", imatrix=matrix)
    assert any(change.after.name == "IQ4_NL" for change in plan)
