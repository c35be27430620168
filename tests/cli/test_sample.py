"""`llamapy sample` and the tiny model behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llamapy import ShapeError, UnsupportedError
from llamapy.cli import main
from llamapy.gguf import GGUF
from llamapy.testing import tiny_model
from llamapy.testing.tiny import MERGES, vocabulary


def test_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.gguf"
    assert main(["sample", str(path), "--layers", "1", "--feed-forward", "256"]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: ")
    same = tiny_model(tmp_path / "b.gguf", layers=1, feed_forward=256)
    assert path.read_bytes() == same.read_bytes()


def test_rows_divide_into_blocks_of_every_format(tmp_path: Path) -> None:
    with GGUF.open(tiny_model(tmp_path / "a.gguf")) as file:
        matrices = [tensor for tensor in file.values() if len(tensor.shape) > 1]
        assert {tensor.quant.name for tensor in matrices} == {"F16"}
        assert {tensor.shape[-1] % 256 for tensor in matrices} == {0}


def test_seeds(tmp_path: Path) -> None:
    small = dict(layers=1, embedding=32, heads=2, feed_forward=64)
    first = tiny_model(tmp_path / "a.gguf", **small).read_bytes()
    assert tiny_model(tmp_path / "b.gguf", **small).read_bytes() == first
    assert tiny_model(tmp_path / "c.gguf", **small, seed=1).read_bytes() != first


def test_values_are_of_a_model_s_size(tmp_path: Path) -> None:
    with GGUF.open(tiny_model(tmp_path / "a.gguf", layers=1)) as file:
        for tensor in file.values():
            values = tensor.numpy().astype(np.float64)
            expected = 1 if len(tensor.shape) == 1 else tensor.shape[-1] ** -0.5
            assert np.sqrt(np.square(values).mean()) == pytest.approx(expected, rel=0.05)


def test_experts(tmp_path: Path) -> None:
    path = tiny_model(
        tmp_path / "a.gguf", layers=1, embedding=32, heads=2, feed_forward=64, experts=3
    )
    with GGUF.open(path) as file:
        assert file["blk.0.ffn_up_exps.weight"].shape == (3, 64, 32)
        assert file["blk.0.ffn_down_exps.weight"].shape == (3, 32, 64)
        assert file["blk.0.ffn_gate_inp.weight"].quant.name == "F32"
        assert file.metadata["llama.expert_count"] == 3
        assert "blk.0.ffn_up.weight" not in file


def test_the_vocabulary_spells_every_byte() -> None:
    tokens, kinds = vocabulary()
    assert len(set(tokens)) == len(tokens) == len(kinds) == 256 + len(MERGES) + 1
    assert [tokens[byte] for byte in b"aZ~"] == ["a", "Z", "~"]
    assert tokens[32] == "\u0120"
    assert tokens[10] == "\u010a"
    for merge in MERGES:
        left, right = merge.split(" ")
        assert {left, right, left + right} <= set(tokens)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"layers": 0}, "layers is 0"),
        ({"heads": 3}, "3 heads"),
        ({"heads": 256}, "even"),
        ({"kv_heads": 3}, "key/value"),
        ({"experts": 2, "experts_used": 3}, "experts"),
        ({"experts": -1}, "experts"),
    ],
)
def test_sizes_that_do_not_fit(tmp_path: Path, sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        tiny_model(tmp_path / "a.gguf", **sizes)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_unknown_architecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnsupportedError, match="llama"):
        tiny_model(tmp_path / "a.gguf", "nope")
    assert main(["sample", str(tmp_path / "a.gguf"), "--layers", "0"]) == 2
    assert "layers is 0" in capsys.readouterr().err
    assert main(["sample", str(tmp_path / "none" / "a.gguf")]) == 2
    assert "folder" in capsys.readouterr().err
