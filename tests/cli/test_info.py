"""`llamapy info`: for people, for programs, and for terminals that a file would like to steer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llamapy import gguf
from llamapy.cli import main
from llamapy.gguf import GGUF
from llamapy.testing import tiny_model

TEMPLATE = "{% for m in messages %}\n\t{{ m.content }}{% endfor %}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.gguf"
    tiny_model(path, embedding=32, heads=2, feed_forward=64, experts=4)
    gguf.edit(path, {"tokenizer.chat_template": TEMPLATE})
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(list(map(str, words))) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def test_facts(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(capsys, "info", model)
    rows = dict(line.rstrip().split(None, 1) for line in printed.splitlines() if line.strip())
    assert rows["architecture"] == "llama"
    assert rows["name"] == "Tiny llama 0"
    assert rows["parameters"] == "74.66 K (74,656)"
    assert rows["context"] == "512"
    assert rows["layers"] == "2"
    assert rows["tokenizer"] == "gpt2, pre-tokenizer gpt-2, 264 tokens"
    assert "bits per weight" in printed
    assert f"{len(TEMPLATE)} characters (--template shows it)" in printed
    assert rows["F16"].split() == ["16", "74.24", "K", "145.00", "KiB", "16", "98.9%"]


def test_lists(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(capsys, "info", model, "--tensors", "--metadata")
    with GGUF.open(model) as file:
        for name in [*file, *file.metadata]:
            assert f"\n{name} " in printed
    rows = [line.split() for line in printed.splitlines()]
    experts = ["blk.0.ffn_gate_exps.weight", "F16", "4", "x", "64", "x", "32", "16.00", "KiB"]
    assert experts in [row[:-1] for row in rows]
    assert ["llama.attention.layer_norm_rms_epsilon", "float32", "1e-05"] in rows


def test_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = json.loads(run(capsys, "info", model, "--json", "--tensors", "--metadata", "--template"))
    assert made["architecture"] == "llama"
    assert made["file_bytes"] == model.stat().st_size
    assert made["paths"] == [str(model)]
    assert made["tokenizer"] == {"model": "gpt2", "pre": "gpt-2", "tokens": 264}
    assert made["chat_template"] == TEMPLATE
    assert made["model"]["expert_count"] == 4
    with GGUF.open(model) as file:
        assert made["parameters"] == sum(tensor.n_values for tensor in file.values())
        assert [row["name"] for row in made["tensors"]] == list(file)
        assert [tuple(row["shape"]) for row in made["tensors"]] == [t.shape for t in file.values()]
        assert list(made["metadata"]) == list(file.metadata)
        tokens = made["metadata"]["tokenizer.ggml.tokens"]
        assert tokens == {"type": "string[]", "value": list(file.metadata["tokenizer.ggml.tokens"])}
    short = json.loads(run(capsys, "info", model, "--json"))
    assert short["has_chat_template"] is True
    assert not {"tensors", "metadata", "chat_template"} & short.keys()


def test_json_has_no_nan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.gguf"
    gguf.write(path, {"x": float("nan"), "y": np.array([1, np.inf], np.float32)}, {})
    printed = run(capsys, "info", path, "--json", "--metadata")
    values = json.loads(printed, parse_constant=pytest.fail)["metadata"]
    assert values["x"] == {"type": "float32", "value": "nan"}
    assert values["y"] == {"type": "float32[]", "value": [1.0, "inf"]}


def test_template(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "info", model, "--template") == TEMPLATE + "\n"
    gguf.write(tmp_path / "a.gguf", {"a": 1}, {})
    assert main(["info", str(tmp_path / "a.gguf"), "--template"]) == 2
    assert "no chat template" in capsys.readouterr().err


def test_a_file_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gguf.write(tmp_path / "a.gguf", {}, {})
    printed = run(capsys, "info", tmp_path / "a.gguf", "--tensors", "--metadata")
    assert "not given" in printed
    assert json.loads(run(capsys, "info", tmp_path / "a.gguf", "--json"))["bits_per_weight"] is None


def test_keys_of_other_types_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.gguf"
    odd = {
        "general.architecture": 7,
        "general.name": [1, 2],
        "tokenizer.ggml.model": True,
        "tokenizer.ggml.tokens": 3,
        "tokenizer.chat_template": ["a"],
    }
    gguf.write(path, odd, {})
    assert "not given" in run(capsys, "info", path, "--metadata")
    assert json.loads(run(capsys, "info", path, "--json"))["tokenizer"]["tokens"] is None


def test_a_file_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.gguf"
    evil = "[red]\x1b]0;owned\x07\r\n\x9b31m\u202e"
    tensors = {"t\x1b[2J": np.zeros(1, np.float32)}
    gguf.write(path, {"general.architecture": evil, f"k{evil}": evil}, tensors)
    for options in ([], ["--metadata", "--tensors"], ["--json", "--metadata", "--tensors"]):
        printed = run(capsys, "info", path, *options)
        assert not set("\x1b\x07\r\x9b\u202e") & set(printed)
        assert "[red]" in printed


def test_text_that_is_not_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.gguf"
    gguf.write(path, {"a": "qqqq", "tokenizer.ggml.tokens": ["zzzz", "y"]}, {})
    path.write_bytes(path.read_bytes().replace(b"qqqq", b"\xff" * 4).replace(b"zzzz", b"\xff" * 4))
    assert "not UTF-8" in run(capsys, "info", path, "--metadata")
    values = json.loads(run(capsys, "info", path, "--metadata", "--json"))["metadata"]
    assert values["a"]["value"] == "\\xff" * 4
    assert values["tokenizer.ggml.tokens"]["value"] == ["\\xff" * 4, "y"]


def test_real_vocabularies(vocabularies: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    for path in vocabularies:
        made = json.loads(run(capsys, "info", path, "--json"))
        assert made["tokenizer"]["tokens"] > 1000
        assert made["architecture"] in run(capsys, "info", path)
