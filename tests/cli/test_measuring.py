"""The commands perplexity, imatrix and embed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llamapy.cli import main
from llamapy.engine.quantizing.imatrix import Imatrix
from llamapy.testing.tiny import tiny_model

DATA = Path(__file__).parent.parent / "data" / "measuring"
TEXT = str(DATA / "text.txt")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    return str(tiny_model(path, embedding=32, heads=2, kv_heads=1, feed_forward=48, context=256))


def told(capsys, *words: str, status: int = 0) -> str:
    assert main([*words, "--device", "numpy"]) == status
    captured = capsys.readouterr()
    return captured.out if status == 0 else captured.err


def told_json(capsys, *words: str) -> dict:
    return json.loads(told(capsys, *words, "--json"))


# ---- perplexity


def test_perplexity_is_told_chunk_by_chunk(model, capsys):
    out = told(capsys, "perplexity", "-m", model, "-f", TEXT, "-c", "64", "--chunks", "3")
    assert out.startswith("3 chunks of 64 tokens\n[1]")
    assert "Final estimate: PPL = 4" in out
    found = told_json(capsys, "perplexity", model, "-f", TEXT, "-c", "64", "--chunks", "3")
    assert f"PPL = {found['perplexity']:.4f} +/- {found['uncertainty']:.5f}" in out
    assert found["n_tokens"] == 93
    assert len(found["chunks"]) == 3
    assert found["complete"]


def test_a_model_is_compared_with_saved_logits_or_with_another(model, capsys, tmp_path):
    base = str(tmp_path / "base.kld")
    sizes = ("-f", TEXT, "-c", "64", "--chunks", "4")
    told(capsys, "perplexity", model, *sizes, "--kl-divergence-base", base)
    saved = told(capsys, "perplexity", model, "--kl-divergence-base", base, "--kl-divergence")
    assert "same top token                    100.000000%" in saved
    found = told_json(capsys, "perplexity", model, *sizes, "--reference", model)
    assert found["n_chunks"] == 4
    mean = next(row for row in found["statistics"] if row["name"] == "mean KLD")
    assert mean["value"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("flag", "file"),
    [
        ("--hellaswag", "hellaswag.txt"),
        ("--winogrande", "winogrande.csv"),
        ("--multiple-choice", "choices.bin"),
    ],
)
def test_tasks_are_scored(model, capsys, flag, file):
    words = ("perplexity", model, "-f", str(DATA / file), flag, f"{flag}-tasks", "5")
    out = told(capsys, *words)
    assert "Final result: " in out
    assert "Random chance: " in out
    found = told_json(capsys, *words)
    assert len(found["correct"]) == 5
    assert f"Final result: {100 * found['accuracy']:.4f}%" in out


def test_ctrl_c_tells_what_was_found(model, capsys, monkeypatch):
    from llamapy.engine.measuring import perplexity

    whole = perplexity.surprises

    def interrupted(*args, **options):
        for number, surprise in enumerate(whole(*args, **options)):
            if number == 2:
                raise KeyboardInterrupt
            yield surprise

    monkeypatch.setattr(perplexity, "surprises", interrupted)
    assert main(["perplexity", model, "-f", TEXT, "-c", "64", "--device", "numpy"]) == 130
    out = capsys.readouterr().out
    assert "interrupted after 2 of" in out
    assert "Final estimate" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-f", TEXT, "--kl-divergence"], "needs --kl-divergence-base"),
        (["-f", TEXT, "--kl-divergence", "--kl-divergence-base", "x"], "leave -p and -f out"),
        (["-f", TEXT, "--hellaswag", "--ppl-stride", "4"], "tasks have no chunks"),
        (["-f", TEXT, "--reference", "x", "--ppl-stride", "4"], "leave --ppl-stride out"),
        (["-f", TEXT, "--reference", "x", "--kl-divergence-base", "y"], "leave one of both out"),
        (["-p", "too short"], "chunks of 512 take 1024 at least"),
    ],
)
def test_what_does_not_go_together_is_refused(model, capsys, words, message):
    assert message in told(capsys, "perplexity", model, *words, status=2)


# ---- imatrix


def test_an_importance_matrix_is_written_and_added_to(model, capsys, tmp_path):
    first, second, both = (str(tmp_path / name) for name in ("1.gguf", "2.gguf", "3.gguf"))
    words = ("imatrix", "-m", model, "-f", TEXT, "-c", "64", "--chunks", "3")
    out = told(capsys, *words, "-o", first, "-ofreq", "2")
    assert "3 chunks of 64 tokens" in out
    assert f"{first}: 14 tensors, 3 chunks" in out
    told(capsys, *words, "-o", second, "--in-file", first, "--no-ppl", "--process-output")
    told(capsys, "imatrix", "--in-file", f"{first},{first}", "-o", both)
    one, two, three = (Imatrix.open(path) for path in (first, second, both))
    assert (one.chunks, two.chunks, three.chunks) == (3, 6, 6)
    assert two.datasets == (TEXT, TEXT)
    assert len(two) == 15
    name = "blk.0.attn_q.weight"
    np.testing.assert_allclose(two.entries[name].sums, 2 * one.entries[name].sums, rtol=1e-5)
    np.testing.assert_allclose(three.entries[name].sums, 2 * one.entries[name].sums, rtol=1e-5)
    assert not list(tmp_path.glob(".*.part"))


def test_ctrl_c_leaves_what_was_collected(model, capsys, tmp_path, monkeypatch):
    from llamapy.engine.measuring import perplexity

    whole = perplexity.surprises

    def interrupted(*args, **options):
        for number, surprise in enumerate(whole(*args, **options)):
            if number == 2:
                raise KeyboardInterrupt
            yield surprise

    monkeypatch.setattr(perplexity, "surprises", interrupted)
    path = tmp_path / "partial.gguf"
    words = ["imatrix", model, "-f", TEXT, "-c", "64", "-b", "64", "-o", str(path)]
    assert main([*words, "--device", "numpy"]) == 130
    assert "interrupted after 2 of" in capsys.readouterr().out
    assert Imatrix.open(path).chunks in (2, 3)


# ---- embed


def test_texts_are_embedded(model, capsys, tmp_path):
    words = ("embed", "-m", model, "-p", "the cat", "-p", "a dog", "--pooling", "mean")
    out = told(capsys, *words)
    assert out.startswith("embedding 0: ")
    assert "cosine similarity:\n  1.00 " in out
    rows = [row["embedding"] for row in told_json(capsys, *words)["embeddings"]]
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    path = tmp_path / "rows.npy"
    lines = tmp_path / "lines.txt"
    lines.write_text("the cat\na dog\n")
    told(capsys, *words[:3], "-f", str(lines), "--pooling", "mean", "--npy", str(path))
    np.testing.assert_allclose(np.load(path), rows, rtol=1e-5)
    plain = told_json(capsys, *words, "--embd-normalize", "-1")["embeddings"][0]["embedding"]
    np.testing.assert_allclose(np.array(plain) / np.linalg.norm(plain), rows[0], rtol=1e-4)


def test_tokens_are_embedded_without_pooling(model, capsys, tmp_path):
    words = ("embed", model, "-p", "the cat", "-p", "a dog", "--pooling", "none")
    found = told_json(capsys, *words)["embeddings"]
    assert [len(each["embedding"]) for each in found] == [7, 6]
    message = "without pooling each text has as many vectors as tokens"
    assert message in told(capsys, *words, "--npy", str(tmp_path / "x.npy"), status=2)
    assert "there is no text" in told(capsys, "embed", model, status=2)
    assert "text 1 is empty" in told(capsys, "embed", model, "-p", "", status=2)
