"""Importance matrices: both kinds of files, and what is wrong with damaged ones."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamapy import gguf
from llamapy.engine.quantizing.imatrix import Entry, Imatrix
from llamapy.errors import ImatrixError, LlamapyError
from llamapy.gguf import ValueType, typed

KEYS = {
    "general.type": "imatrix",
    "imatrix.datasets": ["text.txt"],
    "imatrix.chunk_count": typed(ValueType.UINT32, 2),
    "imatrix.chunk_size": typed(ValueType.UINT32, 512),
}


def f32(*values):
    return np.array(values, np.float32)


def legacy(*entries, tail=b""):
    """The bytes of an old file from (name, calls, values)."""
    raw = struct.pack("<i", len(entries))
    for name, calls, values in entries:
        raw += struct.pack("<i", len(name)) + name.encode()
        raw += struct.pack("<ii", calls, len(values)) + np.array(values, "<f4").tobytes()
    return raw + tail


OLD = legacy(("blk.0.attn_q.weight", 4, [8.0, 2.0]), ("b", 0, [3.0]))


# ---- what is read


def test_means_are_sums_over_counts(tmp_path):
    tensors = {
        "a.weight.in_sum2": f32([4, 8], [1, 1]),
        "a.weight.counts": f32([4], [0]),
        "b.weight.in_sum2": f32([3, 6, 9]),
        "b.weight.counts": f32([3]),
    }
    gguf.write(tmp_path / "i.gguf", KEYS, tensors)
    found = Imatrix.open(tmp_path / "i.gguf")
    assert found["a.weight"].tolist() == [[1, 2], [1, 1]]  # no count, no difference
    assert found["b.weight"].tolist() == [1, 2, 3]
    assert (found.datasets, found.chunks, found.chunk_size) == (("text.txt",), 2, 512)
    assert repr(found).endswith("2 tensors, 2 chunks>")


def test_the_older_kind(tmp_path):
    path = tmp_path / "i.dat"
    path.write_bytes(OLD + struct.pack("<ii", 7, 4) + b"wiki")
    found = Imatrix.open(path)
    assert found["blk.0.attn_q.weight"].tolist() == [2.0, 0.5]
    assert found["b"].tolist() == [3.0]
    assert (found.chunks, found.datasets) == (7, ("wiki",))
    path.write_bytes(OLD)
    assert Imatrix.open(path).chunks == 0


def test_what_is_saved_is_read_again(tmp_path, imatrix):
    path = tmp_path / "saved.gguf"
    imatrix.save(path)
    found = Imatrix.open(path)
    assert dict.keys(found.entries) == dict.keys(imatrix.entries)
    for name, entry in imatrix.entries.items():
        assert np.array_equal(found.entries[name].sums, entry.sums)
        assert np.array_equal(found.entries[name].counts, entry.counts)
    assert (found.datasets, found.chunks, found.chunk_size) == (("text.txt",), 2, 512)


def test_a_mapping_of_weights_is_one_too():
    found = Imatrix.of({"a": [1.0, 2.0], "b": [[1.0], [3.0]]})
    assert found["a"].tolist() == [1, 2]
    assert found["b"].tolist() == [[1], [3]]
    assert Imatrix.of(found) is found
    assert Imatrix.of(None) is None


def test_selecting_by_parts_of_names():
    found = Imatrix.of({"blk.0.ffn_up.weight": [1.0], "blk.0.attn_q.weight": [1.0], "x": [1.0]})
    assert [*found.select(include=["ffn", "x"])] == ["blk.0.ffn_up.weight", "x"]
    assert [*found.select(exclude=["blk.0"])] == ["x"]
    assert len(found.select()) == 3


def test_rows_for_a_tensor():
    found = Imatrix.of({"up": [[1.0, 2.0], [3.0, 4.0]], "q": [1.0, 2.0]})
    assert found.rows_for("up", (2, 5, 2)).tolist() == [[1, 2], [3, 4]]
    assert found.rows_for("q", (7, 2)).tolist() == [[1, 2]]
    assert found.rows_for("other", (7, 2)) is None
    with pytest.raises(ImatrixError, match=r"q has 3 x 2 columns, but its importance has 2"):
        found.rows_for("q", (3, 7, 2))


def test_what_a_model_says_about_it():
    long = Imatrix({"a": Entry(f32([1]), np.array([1]))}, path="ä" * 100, datasets=["b", "c"])
    said = gguf.Metadata(long.metadata())
    assert said["quantize.imatrix.file"] == "ä" * 63  # 127 bytes, and no half letter
    assert said["quantize.imatrix.dataset"] == "b"
    assert said.type("quantize.imatrix.entries_count") is ValueType.UINT32
    assert "quantize.imatrix.chunks_count" not in said


# ---- what is refused


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({}, "has no tensors"),
        ({"a.in_sum2": f32([1])}, r"no a\.counts"),
        ({"a.counts": f32([1])}, r"no a\.in_sum2"),
        ({"a.in_sum2": f32([1, 2, 3]), "a.counts": f32([1], [1])}, "3 sums and 2 counts"),
        ({"a.in_sum2": f32([1]), "a.counts": np.empty((0,), np.float32)}, "1 sums and 0 counts"),
        ({"a.in_sum2": f32([1, np.nan]), "a.counts": f32([1])}, "nan at column 1"),
        ({"a.in_sum2": f32([np.inf]), "a.counts": f32([1])}, "inf at column 0"),
        ({"a.in_sum2": f32([1, -1]), "a.counts": f32([1])}, "-1.0 at column 1"),
        ({"a.in_sum2": f32([1]), "a.counts": f32([np.nan])}, "no number|not a number"),
        ({"a.in_sum2": f32([1]), "a.counts": f32([1e30])}, "not a number"),
        ({"a.in_sum2": np.ones((1, 1), np.float16), "a.counts": f32([1])}, "is F16, not F32"),
    ],
)
def test_damaged_files_are_refused(tmp_path, tensors, said):
    gguf.write(tmp_path / "i.gguf", KEYS, tensors)
    with pytest.raises(ImatrixError, match=said):
        Imatrix.open(tmp_path / "i.gguf")


def test_a_model_is_no_importance_matrix(tiny):
    with pytest.raises(ImatrixError, match=r"lacks imatrix\.datasets"):
        Imatrix.open(tiny)


@pytest.mark.parametrize(
    "changes",
    [
        {"imatrix.chunk_count": "two"},
        {"imatrix.chunk_size": 1.5},
        {"imatrix.datasets": 3},
        {"imatrix.datasets": [1, 2]},
    ],
)
def test_wrong_types_of_metadata_are_refused(tmp_path, changes):
    tensors = {"a.in_sum2": f32([1]), "a.counts": f32([1])}
    gguf.write(tmp_path / "i.gguf", {**KEYS, **changes}, tensors)
    with pytest.raises(ImatrixError, match=next(iter(changes))):
        Imatrix.open(tmp_path / "i.gguf")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0\0",
        struct.pack("<i", 0),
        struct.pack("<i", -5),
        struct.pack("<ii", 1, -1),
        struct.pack("<ii", 1, 2**31 - 1),
        legacy(("a", 1, [])),
        OLD[:-1],
        OLD[:30],
        legacy(("a", 1, [np.nan])),
        OLD + struct.pack("<ii", 1, 99),
        struct.pack("<ii", 1, 1) + b"a" + struct.pack("<ii", 1, 2**31 - 1),
    ],
)
def test_damaged_old_files_are_refused(tmp_path, raw):
    path = tmp_path / "i.dat"
    path.write_bytes(raw)
    with pytest.raises(ImatrixError):
        Imatrix.open(path)


def test_a_cut_gguf_is_refused(tmp_path, imatrix):
    path = tmp_path / "i.gguf"
    imatrix.save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ImatrixError, match=r"i\.gguf"):
        Imatrix.open(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Imatrix.open(tmp_path / "none.gguf")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(0, 400), raw=st.binary(min_size=1, max_size=8), old=st.booleans())
def test_no_bytes_do_harm(tmp_path, imatrix, at, raw, old):
    path = tmp_path / "i"
    if old:
        good = OLD
    else:
        if not (tmp_path / "good").exists():
            imatrix.select(include=["blk.0.attn"]).save(tmp_path / "good")
        good = (tmp_path / "good").read_bytes()
    at %= len(good)
    path.write_bytes(good[:at] + raw + good[at + len(raw) :])
    try:
        found = Imatrix.open(path)
    except LlamapyError:
        return
    assert all(np.isfinite(weights).all() for weights in found.values())
