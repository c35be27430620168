"""`llamapy gguf`: what its actions print, write and return."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llamapy import gguf
from llamapy.cli import main
from llamapy.gguf import GGUF, ArrayType, ValueType
from llamapy.testing import tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "m.gguf", embedding=32, heads=2, feed_forward=64)


def run(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> str:
    assert main(["gguf", *map(str, words)]) == status
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def error(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["gguf", *map(str, words)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


@pytest.mark.parametrize(
    ("word", "key", "kind", "value"),
    [
        ("general.name=Ada = Lovelace", "general.name", ValueType.STRING, "Ada = Lovelace"),
        ("general.name=", "general.name", ValueType.STRING, ""),
        ("llama.block_count=0x10", "llama.block_count", ValueType.UINT32, 16),
        ("llama.rope.freq_base=5e5", "llama.rope.freq_base", ValueType.FLOAT32, 5e5),
        (
            "tokenizer.ggml.add_bos_token=FALSE",
            "tokenizer.ggml.add_bos_token",
            ValueType.BOOL,
            False,
        ),
        ("llama.block_count:int64=-1", "llama.block_count", ValueType.INT64, -1),
        ("a:b:string=x:y", "a:b", ValueType.STRING, "x:y"),
        ("new:uint8[]=[1,2]", "new", ArrayType(ValueType.UINT8), [1, 2]),
        ('new:string[]=["a","b"]', "new", ArrayType(ValueType.STRING), ["a", "b"]),
        ("new:bool[]=[true]", "new", ArrayType(ValueType.BOOL), [True]),
        ("new:float64=nan", "new", ValueType.FLOAT64, np.nan),
    ],
)
def test_set(
    model: Path,
    capsys: pytest.CaptureFixture[str],
    word: str,
    key: str,
    kind: object,
    value: object,
) -> None:
    node = model.stat().st_ino
    printed = run(capsys, "set", model, word)
    in_place = node == model.stat().st_ino
    assert printed == f"{model}: {'changed in place' if in_place else 'rewritten'}\n"
    with GGUF.open(model) as file:
        assert file.metadata.type(key) == kind
        np.testing.assert_array_equal(np.array(file.metadata[key]), np.array(value))


def test_set_a_key_that_looks_typed(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gguf.edit(model, {"odd:bool": "text"})
    run(capsys, "set", model, "odd:bool=other")
    with GGUF.open(model) as file:
        assert file.metadata["odd:bool"] == "other"


def test_set_from_a_file(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.jinja").write_bytes("{{ bos }}\r\n\u00e4".encode())
    run(capsys, "set", model, "--file", f"tokenizer.chat_template:string={tmp_path / 't.jinja'}")
    with GGUF.open(model) as file:
        assert file.metadata["tokenizer.chat_template"] == "{{ bos }}\r\n\u00e4"
    (tmp_path / "t.jinja").write_bytes(b"ab\xff")
    word = f"tokenizer.chat_template={tmp_path / 't.jinja'}"
    assert "byte 2" in error(capsys, "set", model, "--file", word)
    assert "no such file" in error(capsys, "set", model, "--file", "general.name=/none/here")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("general.name", "KEY=VALUE"),
        ("=5", "KEY=VALUE"),
        ("fresh=5", "fresh:string=5"),
        ("fresh:number=5", "uint8"),
        ("fresh:array=5", "uint8"),
        ("llama.block_count=many", "not a number"),
        ("llama.block_count=-1", "llama.block_count: -1 does not fit into UINT32"),
        ("llama.block_count=1.5", "not a number"),
        ("tokenizer.ggml.add_bos_token=1", "true or false"),
        ("new:uint8[]=5", "a JSON list"),
        ("new:uint8[]=[1,", "a JSON list"),
        ("new:uint8[]=[256]", "UINT8"),
        ("new:string[]=[1]", "no text"),
        ("general.alignment:uint32=64", "gguf.write"),
        ("llama.block_count=\x1b[31m", "\\x1b"),
    ],
)
def test_set_refuses(
    model: Path, capsys: pytest.CaptureFixture[str], word: str, message: str
) -> None:
    old = model.read_bytes()
    printed = error(capsys, "set", model, word)
    assert message in printed
    assert "\x1b" not in printed
    assert model.read_bytes() == old


def test_set_needs_something(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing to set" in error(capsys, "set", model)


def test_remove(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "remove", model, "general.name", "general.type").endswith("rewritten\n")
    with GGUF.open(model) as file:
        assert not {"general.name", "general.type"} & file.metadata.keys()
    assert "general.name" in error(capsys, "remove", model, "general.name")


def test_split_and_merge(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(capsys, "split", model, tmp_path / "p", "--max-size", "30K").splitlines()
    assert [Path(line).name for line in printed] == [f"p-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    assert run(capsys, "merge", printed[0], tmp_path / "b.gguf") == f"{tmp_path / 'b.gguf'}\n"
    assert (tmp_path / "b.gguf").read_bytes() == model.read_bytes()
    printed = run(
        capsys, "split", model, tmp_path / "q", "--max-tensors", "20", "--no-tensor-first-split"
    ).splitlines()
    assert len(printed) == 3
    assert len(run(capsys, "split", model, tmp_path / "r").splitlines()) == 1
    assert "first" in error(capsys, "merge", printed[1], tmp_path / "c.gguf")
    assert "no size" in error(capsys, "split", model, tmp_path / "s", "--max-size", "huge")


def test_diff(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "b.gguf"
    other.write_bytes(model.read_bytes())
    assert run(capsys, "diff", model, other) == ""
    assert json.loads(run(capsys, "diff", model, other, "--json"))["tensors_changed"] == {}
    gguf.edit(other, {"general.name": "x" * 300, "new": True})
    printed = run(capsys, "diff", model, other, status=1).splitlines()
    assert printed[0] == "+ metadata new: true (bool)"
    assert len(printed) == 2  # long lines stay whole
    made = json.loads(run(capsys, "diff", model, other, "--json", status=1))
    assert made["metadata_added"] == {"new": {"type": "bool", "text": "true"}}
    assert "no such file" in error(capsys, "diff", model, tmp_path / "none.gguf")


def test_hash(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = gguf.content_hash(model)
    assert run(capsys, "hash", model) == f"{found.whole}  {model}\n"
    lines = run(capsys, "hash", model, "--tensors").splitlines()
    assert lines[:-1] == [f"{digest}  {name}" for name, digest in found.tensors.items()]
    made = json.loads(run(capsys, "hash", model, "--json"))
    assert made == {"content": found.whole, "tensors": found.tensors}
    parts = gguf.split(model, tmp_path / "p", max_tensors=4)
    assert run(capsys, "hash", parts[0]).startswith(found.whole)
