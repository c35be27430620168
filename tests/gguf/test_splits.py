"""Models in several files: llama.cpp's names and keys, and back to the same bytes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from llamapy import OutputError, UnsupportedError, gguf
from llamapy.gguf import GGUF, ValueType, typed
from llamapy.gguf.splits import parse_size
from llamapy.testing import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return tiny_model(folder / "m.gguf", embedding=32, heads=2, feed_forward=64, context=64)


@pytest.mark.parametrize(
    ("limits", "n_parts"),
    [
        ({"max_tensors": 8}, 3),
        ({"max_tensors": 8, "first_has_tensors": False}, 4),
        ({"max_tensors": 1}, 21),
        ({"max_size": 30_000}, 3),
        ({"max_size": "30K"}, 3),
        ({"max_size": 1}, 21),
        ({"max_size": "2G"}, 1),
        ({"max_size": "2G", "first_has_tensors": False}, 2),
        ({"max_size": 40_000, "max_tensors": 2}, 11),
    ],
)
def test_split_and_merge(
    model: Path, tmp_path: Path, limits: dict[str, object], n_parts: int
) -> None:
    parts = gguf.split(model, tmp_path / "p", **limits)  # type: ignore[arg-type]
    assert sorted(os.listdir(tmp_path)) == [path.name for path in parts]
    assert [path.name for path in parts] == [
        f"p-{i + 1:05}-of-{n_parts:05}.gguf" for i in range(n_parts)
    ]
    with GGUF.open(parts[0]) as file, GGUF.open(model) as whole:
        assert list(file) == list(whole)
        for name in whole:
            np.testing.assert_array_equal(file[name].raw, whole[name].raw)
    assert gguf.content_hash(parts[0]) == gguf.content_hash(model)
    merged = gguf.merge(parts[0], tmp_path / "merged.gguf")
    assert merged.read_bytes() == model.read_bytes()


def test_the_keys_are_those_of_llama_cpp(model: Path, tmp_path: Path) -> None:
    parts = gguf.split(model, tmp_path / "p.gguf", max_tensors=8, first_has_tensors=False)
    with GGUF.open(model) as whole:
        expected = list(whole.metadata)
    for number, path in enumerate(parts):
        # as bytes each part is looked at by itself
        data = path.read_bytes().replace(b"split.count", b"split.other")
        with GGUF.open(data) as part:
            ties = ["split.no", "split.tensors.count", "split.other"]
            assert list(part.metadata) == [*(expected if number == 0 else []), *ties]
            assert [part.metadata[key] for key in ties] == [number, 21, len(parts)]
            assert [part.metadata.type(key) for key in ties] == [
                ValueType.UINT16,
                ValueType.INT32,
                ValueType.UINT16,
            ]
            assert len(part) == [0, 8, 8, 5][number]


def test_a_part_is_not_larger_than_asked(model: Path, tmp_path: Path) -> None:
    limit = 30_000
    for path in gguf.split(model, tmp_path / "p", max_size=limit):
        with GGUF.open(path.read_bytes().replace(b"split.count", b"split.other")) as part:
            sizes = [tensor.n_bytes for tensor in part.values()]
            assert sum(sizes) <= limit or len(sizes) == 1


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_other_layouts_come_back_too(tmp_path: Path, byteorder: str) -> None:
    source = tmp_path / "a.gguf"
    tensors = {f"t{i}": np.arange(i + 1, dtype=np.float32) for i in range(5)}
    gguf.write(source, {"k": "v"}, tensors, byteorder=byteorder, version=2, alignment=64)  # type: ignore[arg-type]
    parts = gguf.split(source, tmp_path / "p", max_tensors=2)
    with GGUF.open(parts[0]) as file:
        assert (file.byteorder, file.version, file.alignment) == (byteorder, 2, 64)
        np.testing.assert_array_equal(file["t4"].numpy(), tensors["t4"])
    assert gguf.merge(parts[0], tmp_path / "b.gguf").read_bytes() == source.read_bytes()


def test_a_file_without_tensors(tmp_path: Path) -> None:
    gguf.write(tmp_path / "a.gguf", {"k": 1}, {})
    parts = gguf.split(tmp_path / "a.gguf", tmp_path / "p", max_tensors=1)
    assert len(parts) == 1
    merged = gguf.merge(parts[0], tmp_path / "b.gguf")
    assert merged.read_bytes() == (tmp_path / "a.gguf").read_bytes()


def test_splitting_anew(model: Path, tmp_path: Path) -> None:
    parts = gguf.split(model, tmp_path / "p", max_tensors=8)
    again = gguf.split(parts[0], tmp_path / "q", max_tensors=5)
    assert len(again) == 5
    assert gguf.merge(again[0], tmp_path / "b.gguf").read_bytes() == model.read_bytes()


def test_refused(model: Path, tmp_path: Path) -> None:
    parts = gguf.split(model, tmp_path / "p", max_tensors=8)
    with pytest.raises(UnsupportedError, match="max_size"):
        gguf.split(model, tmp_path / "q")
    with pytest.raises(UnsupportedError, match="at least 1"):
        gguf.split(model, tmp_path / "q", max_tensors=0)
    with pytest.raises(UnsupportedError, match="not a part"):
        gguf.merge(model, tmp_path / "q.gguf")
    with pytest.raises(UnsupportedError, match="files that are read"):
        gguf.merge(parts[0], parts[1])
    with pytest.raises(UnsupportedError, match="files that are read"):
        gguf.split(parts[0], tmp_path / "p", max_tensors=8)
    with GGUF.open(model) as file:
        metadata = file.metadata.updated({"split.count": typed(ValueType.UINT16, 0)})
        gguf.write(tmp_path / "merged.gguf", metadata, file)
    with pytest.raises(UnsupportedError, match="not a part"):
        gguf.merge(tmp_path / "merged.gguf", tmp_path / "q.gguf")
    assert not list(tmp_path.glob("q*"))


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_failure_leaves_no_part(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real = getattr(os, call)
    calls = 0

    def fails_the_third_time(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, call, fails_the_third_time)
    with pytest.raises(OutputError):
        gguf.split(model, tmp_path / "p", max_tensors=4)
    monkeypatch.undo()
    assert calls >= 3
    assert os.listdir(tmp_path) == []


def test_progress(model: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    parts = gguf.split(model, tmp_path / "p", max_tensors=8, progress=tell)
    assert told[-1] == (sum(path.stat().st_size for path in parts),) * 2
    gguf.merge(parts[0], tmp_path / "b.gguf", progress=tell)
    assert told[-1] == (model.stat().st_size,) * 2


@pytest.mark.parametrize(
    ("text", "size"), [("5", 5), (7, 7), ("1K", 1000), ("2m", 2_000_000), (" 3 GB ", 3 * 10**9)]
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "1.5G", "-1", "2X", "1e9"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UnsupportedError, match="no size"):
        parse_size(text)
