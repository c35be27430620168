"""Differences and fingerprints: what counts is what a file holds, not how it lies."""

from __future__ import annotations

import hashlib
import io
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from llamapy import gguf, quants
from llamapy.gguf import GGUF, ArrayType, Encoded, Metadata, ValueType, typed
from llamapy.testing import tiny_model

SMALL = dict(layers=1, embedding=32, heads=2, kv_heads=1, feed_forward=64, context=64)
METADATA = Metadata(
    {
        "general.architecture": "test",
        "n": typed(ValueType.UINT32, 5),
        "x": typed(ValueType.FLOAT32, 0.1),
        "words": ["a", "b", "c"],
        "numbers": np.arange(20, dtype=np.int32),
        "long": "y" * 500,
    }
)
TENSORS = {
    "a": np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32),
    "b": np.arange(6, dtype=np.float16).reshape(2, 3),
    "c": np.arange(4, dtype=np.float64),
}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def make(name: str, metadata: Any = METADATA, tensors: Any = TENSORS, **how: Any) -> Path:
        gguf.write(tmp_path / name, metadata, tensors, **how)
        return tmp_path / name

    return make


@pytest.fixture
def layouts(write: Any, tmp_path: Path) -> list[Path]:
    """The same contents, laid out in every way."""
    first = write("first.gguf")
    backwards = Metadata({key: METADATA.value(key) for key in reversed(list(METADATA))})
    return [
        first,
        write("order.gguf", backwards, dict(reversed(TENSORS.items()))),
        write("aligned.gguf", alignment=256),
        write("big.gguf", byteorder="big"),
        write("old.gguf", version=2),
        gguf.split(first, tmp_path / "parts", max_tensors=1)[0],
    ]


# ---- hashes


def test_the_hash_is_that_of_the_contents(layouts: list[Path]) -> None:
    found = [gguf.content_hash(path) for path in layouts]
    assert len({digest.whole for digest in found}) == 1
    assert all(digest.tensors == found[0].tensors for digest in found)
    with GGUF.open(layouts[0]) as file:
        assert gguf.content_hash(file, threads=1) == found[0]
    assert str(found[0]) == found[0].whole


def test_the_hash_is_what_the_rules_say() -> None:
    """Parts after their lengths, keys sorted, little-endian: written out by hand."""

    def parts(*texts: bytes) -> bytes:
        return b"".join(len(text).to_bytes(8, "little") + text for text in texts)

    rules = b"llamapy content hash 1"
    tensor = np.arange(6, dtype=np.float32).reshape(2, 3)
    digest = hashlib.sha256(parts(rules, b"F32", b"2,3") + tensor.tobytes()).digest()
    whole = hashlib.sha256(
        parts(rules)
        + parts(b"a", b"uint16[]", bytes([2, 0, 0, 0, 1]) + bytes(7) + b"\x07\0")
        + parts(b"b", b"bool", b"\1")
        + parts(b"t", digest)
    )
    values = {"b": True, "a": typed(ArrayType(ValueType.UINT16), [7])}
    with GGUF.open(_bytes(values, {"t": tensor})) as file:
        found = gguf.content_hash(file)
    assert found.tensors == {"t": digest.hex()}
    assert found.whole == whole.hexdigest()


def _bytes(metadata: Any, tensors: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.gguf"
        gguf.write(path, metadata, tensors)
        return path.read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 6},
        {"n": typed(ValueType.INT32, 5)},
        {"new": 1},
        {"words": ["a", "bc", ""]},
        {"words": ["ab", "", "c"]},
    ],
)
def test_every_value_and_type_counts(write: Any, changes: dict[str, Any]) -> None:
    first, second = write("a.gguf"), write("b.gguf", METADATA.updated(changes))
    assert gguf.content_hash(first).whole != gguf.content_hash(second).whole
    assert gguf.content_hash(first).tensors == gguf.content_hash(second).tensors
    assert gguf.diff(first, second)


def test_names_shapes_and_formats_count(write: Any) -> None:
    first = gguf.content_hash(write("a.gguf"))
    renamed = gguf.content_hash(
        write("b.gguf", tensors={"d" if name == "a" else name: TENSORS[name] for name in TENSORS})
    )
    assert renamed.whole != first.whole
    assert renamed.tensors["d"] == first.tensors["a"]
    reshaped = gguf.content_hash(write("c.gguf", tensors=TENSORS | {"a": TENSORS["a"].T.copy().T}))
    assert reshaped == first
    reshaped = gguf.content_hash(
        write("d.gguf", tensors=TENSORS | {"a": TENSORS["a"].reshape(4, 16)})
    )
    assert reshaped.tensors["a"] != first.tensors["a"]
    same_bytes = TENSORS["b"].view(np.int16)
    retyped = gguf.content_hash(write("e.gguf", tensors=TENSORS | {"b": same_bytes}))
    assert retyped.tensors["b"] != first.tensors["b"]


def test_large_tensors_are_hashed_in_pieces(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("a.gguf")
    whole = gguf.content_hash(path)
    monkeypatch.setattr(sys.modules["llamapy.gguf.digest"], "PIECE_BYTES", 24)
    assert gguf.content_hash(path) == whole


# ---- differences


def test_layouts_do_not_differ(layouts: list[Path]) -> None:
    for path in layouts:
        difference = gguf.diff(layouts[0], path)
        assert not difference
        assert str(difference) == "no difference"


def test_metadata(write: Any) -> None:
    numbers = np.arange(20, dtype=np.int32)
    numbers[[7, 9]] = 0
    changed = METADATA.updated(
        {
            "n": typed(ValueType.INT32, 5),
            "new": True,
            "numbers": numbers,
            "long": "y" * 400 + "z" * 100,
            "words": ["a", "b", "d", "e", "f"],
        },
        remove=["x"],
    )
    difference = gguf.diff(write("a.gguf"), write("b.gguf", changed))
    assert list(difference.metadata_added) == ["new"]
    assert list(difference.metadata_removed) == ["x"]
    assert str(difference).split("\n") == [
        "+ metadata new: true (bool)",
        "- metadata x: 0.1 (float32)",
        "~ metadata n: 5 (uint32) → 5 (int32)",
        "~ metadata words: [a, b, c] (3) (string[]) → [a, b, d, e, …] (5) (string[])",
        "~ metadata numbers: [0, 1, 2, 3, …] (20) (int32[]), 2 elements differ, the first is 7",
        f"~ metadata long: {'y' * 119}… (string), differing from byte 408 of the stored value",
    ]
    back = gguf.diff(write("b.gguf", changed), write("a.gguf"))
    assert list(back.metadata_added) == ["x"]


def test_nan_is_no_difference_and_minus_zero_is_one(write: Any) -> None:
    values = np.array([np.nan, 0.0], np.float32)
    first = write("a.gguf", {"v": values}, {"t": values})
    assert not gguf.diff(first, write("b.gguf", {"v": values}, {"t": values}))
    difference = gguf.diff(first, write("c.gguf", {"v": -values}, {"t": -values}))
    assert list(difference.metadata_changed) == ["v"]
    assert difference.tensors_changed["t"].max_difference == 0
    assert difference.tensors_changed["t"].nmse == 0


def test_tensors(write: Any) -> None:
    off = TENSORS["a"].copy()
    off[1, 3] += 0.5
    tensors = {"a": off, "b": TENSORS["b"].T.copy(), "new": np.zeros(3, np.float32)}
    difference = gguf.diff(write("a.gguf"), write("b.gguf", tensors=tensors))
    assert list(difference.tensors_added) == ["new"]
    assert list(difference.tensors_removed) == ["c"]
    changed = difference.tensors_changed
    assert list(changed) == ["a", "b"]
    assert changed["a"].before == changed["a"].after
    assert changed["a"].max_difference == pytest.approx(0.5)
    assert changed["a"].nmse == pytest.approx(0.25 / np.square(TENSORS["a"]).sum())
    assert changed["b"].max_difference is None
    assert changed["b"].nmse is None
    assert changed["b"].after.shape == (3, 2)


def test_another_format_is_measured_by_its_numbers(write: Any) -> None:
    q8 = quants.get("Q8_0")
    raw = q8.quantize(TENSORS["a"])
    tensors = TENSORS | {"a": Encoded(q8, (2, 32), raw)}
    changed = gguf.diff(write("a.gguf"), write("b.gguf", tensors=tensors)).tensors_changed
    assert list(changed) == ["a"]
    error = q8.dequantize(raw).astype(np.float64) - TENSORS["a"]
    assert changed["a"].after.type == "Q8_0"
    assert changed["a"].max_difference == np.abs(error).max()
    reference = np.square(TENSORS["a"].astype(np.float64)).sum()
    assert changed["a"].nmse == pytest.approx(np.square(error).sum() / reference, rel=1e-12)


def test_pieces_add_up(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    q8 = quants.get("Q8_0")
    tensors = TENSORS | {"a": Encoded(q8, (2, 32), q8.quantize(TENSORS["a"]))}
    first, second = write("a.gguf"), write("b.gguf", tensors=tensors, byteorder="big")
    whole = gguf.diff(first, second).tensors_changed["a"]
    monkeypatch.setattr(sys.modules["llamapy.gguf.compare"], "VALUES_PER_PIECE", 1)
    pieces = gguf.diff(first, second).tensors_changed["a"]
    assert whole.max_difference == pieces.max_difference
    assert whole.nmse == pytest.approx(pieces.nmse, rel=1e-12)


@pytest.mark.parametrize(
    ("before", "after", "largest", "nmse"),
    [
        ([0.0, 0.0], [0.0, 1.0], 1.0, math.inf),
        ([1.0, np.nan], [1.0, 2.0], math.inf, math.inf),
        ([np.inf, 1.0, np.nan], [np.inf, 3.0, np.nan], 2.0, 4.0),
    ],
)
def test_odd_numbers(
    write: Any, before: list[float], after: list[float], largest: float, nmse: float
) -> None:
    a, b = (np.array(values, np.float32) for values in (before, after))
    changed = gguf.diff(write("a.gguf", {}, {"t": a}), write("b.gguf", {}, {"t": b}))
    found = changed.tensors_changed["t"]
    assert found.max_difference == largest
    assert found.nmse == pytest.approx(nmse)


def test_how_it_is_shown(write: Any) -> None:
    name = "<b>\x1b[31m"
    first = write("a.gguf", {"<script>": "</td>"}, {name: np.zeros(2, np.float32)})
    second = write("b.gguf", {"<script>": "<i>"}, {name: np.ones(2, np.float32)})
    difference = gguf.diff(first, second)
    assert "\x1b" not in str(difference)
    html = difference._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<b>" not in html
    console = Console(file=io.StringIO(), width=200)
    console.print(difference)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in printed
    assert [line.split() for line in printed.splitlines()] == [
        line.replace(": ", " ", 1).split() for line in str(difference).splitlines()
    ]
    made = difference.as_dict()
    assert made["metadata_changed"]["<script>"]["after"] == {"type": "string", "text": "<i>"}
    assert made["tensors_changed"][name]["max_difference"] == 1.0


def test_real_vocabularies(vocabularies: list[Path], tmp_path: Path) -> None:
    path = next(path for path in vocabularies if path.stem.endswith("gpt-2"))
    with GGUF.open(path) as file:
        tokens = file.metadata["tokenizer.ggml.tokens"].tolist()
        tokens[100] = "changed"
        gguf.write(
            tmp_path / "b.gguf", file.metadata.updated({"tokenizer.ggml.tokens": tokens}), {}
        )
        assert not gguf.diff(file, file)
    difference = gguf.diff(path, tmp_path / "b.gguf")
    assert list(difference.metadata_changed) == ["tokenizer.ggml.tokens"]
    assert "element 100 differs" in str(difference)
    hashes = {gguf.content_hash(path).whole for path in vocabularies}
    assert len(hashes) == len(vocabularies)


def test_models(tmp_path: Path) -> None:
    first = tiny_model(tmp_path / "a.gguf", **SMALL)
    assert not gguf.diff(first, tiny_model(tmp_path / "b.gguf", **SMALL))
    other = gguf.diff(first, tiny_model(tmp_path / "c.gguf", **SMALL, seed=1))
    assert list(other.metadata_changed) == ["general.name"]
    assert len(other.tensors_changed) == 12
