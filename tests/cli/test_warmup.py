"""`llamapy warmup`."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamapy import backends
from llamapy.backends.cpu import ahead
from llamapy.cli import main
from llamapy.engine import warmup as warming
from llamapy.testing import tiny_model


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what would be compiled, were nothing there."""
    names: list[str] = []
    monkeypatch.setattr(ahead, "missing", list)
    monkeypatch.setattr(
        ahead, "compile_ahead", lambda kernels, told: names.extend(each.name for each in kernels)
    )
    return names


def test_a_model(tmp_path: Path, compiled: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny_model(tmp_path / "a.gguf", layers=1)
    assert main(["warmup", str(path), "--kv-type", "q8_0"]) == 0
    assert {"pack_F16", "lookup_F16", "rms_norm", "rope_pairs"} <= set(compiled)
    assert any("Q8_0" in name for name in compiled)
    assert capsys.readouterr().out.startswith(f"{len(compiled)} kernels compiled in ")


def test_a_plain_llama(compiled: list[str]) -> None:
    assert main(["warmup"]) == 0
    assert {f"pack_{name}" for name in warming.COMMON} <= set(compiled)
    assert len(set(compiled)) == len(compiled)


def test_only_one_format(compiled: list[str]) -> None:
    assert main(["warmup", "--format", "Q4_0", "--precision", "float32"]) == 0
    assert [name for name in compiled if name.startswith("pack_")] == ["pack_Q4_0"]
    assert not [name for name in compiled if name.startswith("quantize_activations")]


def test_nothing_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ahead, "missing", lambda kernels: [])
    assert main(["warmup", "--format", "Q4_0"]) == 0
    assert capsys.readouterr().out == "all kernels are there\n"


def test_a_file_that_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(b"GGUF")
    assert main(["warmup", str(path)]) == 2
    assert capsys.readouterr().err.startswith("llamapy: error: ")


def test_where_nothing_can_be_compiled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("llamapy.backends.cpu.problem", lambda: "there is no compiler")
    assert main(["warmup"]) == 2
    assert "cannot be used here, for there is no compiler" in capsys.readouterr().err
    assert backends.get("auto").name == "numpy"
