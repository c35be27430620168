"""What is written is read, and written again to the same bytes."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamapy import quants
from llamapy.gguf import GGUF, ArrayType, Encoded, Metadata, ValueType, infer, typed, write
from llamapy.gguf.arrays import same_array
from llamapy.gguf.types import BIG
from llamapy.testing import strategies

GOLDEN = os.environ.get("LLAMAPY_GOLDEN")
VOCABULARIES = sorted((Path(GOLDEN) / "vocabs").glob("*.gguf")) if GOLDEN else []

relaxed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("llamapy.files.os.fsync", lambda descriptor: None)


def same(a, b) -> bool:
    """Whether two values are equal and of one type; NaN equals NaN."""
    if isinstance(a, float):
        return isinstance(b, float) and (a == b or (math.isnan(a) and math.isnan(b)))
    if isinstance(a, (bool, int, str)):
        return type(a) is type(b) and a == b
    return len(a) == len(b) and all(map(same, a, b))


def plain(value):
    return value.tolist() if hasattr(value, "tolist") else value


def encoded_bytes(tensor) -> bytes:
    raw = tensor.raw if isinstance(tensor, Encoded) else np.ascontiguousarray(tensor)
    return bytes(raw) if isinstance(raw, bytes) else raw.tobytes()


@relaxed
@given(strategies.values())
def test_values_come_back(pair):
    kind, value = pair
    stored = typed(kind, value)
    assert stored.type == kind
    assert same(plain(stored.get()), value)
    assert typed(kind, stored.get()) == stored
    assert len(stored.encoded(BIG)) == len(stored.encoded())


@relaxed
@given(
    strategies.contents(),
    st.sampled_from(["little", "big"]),
    st.sampled_from([2, 3]),
)
def test_files_come_back(tmp_path, contents, byteorder, version):
    metadata, tensors = contents
    path = tmp_path / "a.gguf"
    assert write(path, metadata, tensors, byteorder=byteorder, version=version) == (path,)
    opened = GGUF.open(path)
    assert (opened.version, opened.byteorder, opened.paths) == (version, byteorder, (path,))
    assert opened.size == path.stat().st_size
    assert opened.alignment == metadata.get("general.alignment", 32)
    assert opened.metadata == metadata
    for key, value in metadata.items():
        assert opened.metadata.type(key) == metadata.type(key)
        assert same(plain(opened.metadata[key]), plain(value))
    assert list(opened) == list(tensors)
    for name, tensor in tensors.items():
        found = opened[name]
        assert found.shape == tensor.shape
        assert found.n_values == math.prod(tensor.shape)
        assert found.offset % opened.alignment == 0
        assert found.encoded().tobytes() == encoded_bytes(tensor)
        if isinstance(tensor, Encoded):
            assert found.quant is tensor.quant
        else:
            assert found.numpy().dtype == tensor.dtype
            assert same_array(found.numpy(), tensor)
    again = tmp_path / "b.gguf"
    write(again, opened.metadata, opened)
    assert again.read_bytes() == path.read_bytes()
    swapped = tmp_path / "c.gguf"
    write(swapped, opened.metadata, opened, byteorder="big" if byteorder == "little" else "little")
    turned = GGUF.open(swapped)
    assert turned.metadata == opened.metadata
    write(again, turned.metadata, turned, byteorder=byteorder)
    assert again.read_bytes() == path.read_bytes()


@relaxed
@given(strategies.contents(max_tensors=6), st.integers(1, 4), st.sampled_from(["little", "big"]))
def test_splits_come_back(tmp_path, contents, size, byteorder):
    metadata, tensors = contents
    whole = tmp_path / "whole.gguf"
    write(whole, metadata, tensors, byteorder=byteorder)
    paths = write(
        tmp_path / "m.gguf", metadata, tensors, byteorder=byteorder, split_max_tensors=size
    )
    assert len(paths) == max(1, math.ceil(len(tensors) / size))
    opened = GGUF.open(paths[0])
    assert opened.paths == paths
    assert list(opened) == list(tensors)
    assert opened.size == sum(path.stat().st_size for path in paths)
    joined = tmp_path / "joined.gguf"
    write(joined, opened.metadata, opened)
    assert joined.read_bytes() == whole.read_bytes()
    again = write(tmp_path / "n.gguf", opened.metadata, opened, split_max_tensors=size)
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in paths]


@relaxed
@given(strategies.values())
def test_inferred_types_hold_the_value(pair):
    _, value = pair
    try:
        kind = infer(value)
    except ValueError:
        assert "[]" in repr(value)
        return
    if "FLOAT32" not in repr(kind):
        assert same(plain(typed(kind, value).get()), value)


@relaxed
@given(strategies.metadata(), strategies.metadata())
def test_updated_keeps_places_and_types(old, new):
    changed = old.updated(dict(zip(new, map(new.value, new), strict=True)))
    assert list(changed) == list(dict.fromkeys([*old, *new]))
    assert all(changed.value(key) == new.value(key) for key in new)
    assert all(changed.value(key) is old.value(key) for key in old if key not in new)
    # plain values keep their old type
    same_again = old.updated({key: plain(value) for key, value in old.items()})
    assert same_again == old
    assert old.updated(remove=list(old)) == Metadata()


@pytest.mark.skipif(not GOLDEN, reason="LLAMAPY_GOLDEN (a folder with vocabs/) is not set")
@pytest.mark.parametrize("path", VOCABULARIES, ids=lambda path: path.stem)
def test_real_vocabularies_are_copied_to_the_byte(tmp_path, path):
    with GGUF.open(path) as opened:
        write(tmp_path / "copy.gguf", opened.metadata, opened)
    assert (tmp_path / "copy.gguf").read_bytes() == path.read_bytes()


# ---- the other implementation

PEER_TYPES = {
    ValueType.UINT8: "uint8", ValueType.INT8: "int8", ValueType.UINT16: "uint16",
    ValueType.INT16: "int16", ValueType.UINT32: "uint32", ValueType.INT32: "int32",
    ValueType.FLOAT32: "float32", ValueType.UINT64: "uint64", ValueType.INT64: "int64",
    ValueType.FLOAT64: "float64", ValueType.BOOL: "bool", ValueType.STRING: "string",
}  # fmt: skip
PEER_VALUES = {
    ValueType.UINT8: 200, ValueType.INT8: -100, ValueType.UINT16: 60_000,
    ValueType.INT16: -30_000, ValueType.UINT32: 2**32 - 1, ValueType.INT32: -(2**31),
    ValueType.FLOAT32: 0.5, ValueType.UINT64: 2**64 - 1, ValueType.INT64: -(2**63),
    ValueType.FLOAT64: 0.1, ValueType.BOOL: True, ValueType.STRING: "grüße",
}  # fmt: skip


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_gguf_py_reads_what_we_write(tmp_path, byteorder):
    peer = pytest.importorskip("gguf", reason="gguf-py is not installed")
    metadata = {kind.name: typed(kind, value) for kind, value in PEER_VALUES.items()}
    metadata["ints"] = np.arange(5, dtype=np.int16)
    metadata["words"] = ["a", "", "ccc"]
    metadata["general.architecture"] = "llama"
    floats = np.linspace(-1, 1, 96, dtype=np.float32).reshape(3, 32)
    blocks = quants.get("Q8_0").quantize(floats)
    tensors = {"f": floats, "h": floats.astype(np.float16), "q": Encoded("Q8_0", (3, 32), blocks)}
    [path] = write(tmp_path / "ours.gguf", metadata, tensors, byteorder=byteorder)
    reader = peer.GGUFReader(path)
    for kind, value in PEER_VALUES.items():
        field = reader.get_field(kind.name)
        assert [int(t) for t in field.types] == [int(kind)]
        assert field.contents() == value
    assert reader.get_field("ints").contents() == [0, 1, 2, 3, 4]
    assert reader.get_field("words").contents() == ["a", "", "ccc"]
    found = {tensor.name: tensor for tensor in reader.tensors}
    assert list(found) == ["f", "h", "q"]
    assert found["f"].data.tolist() == floats.tolist()
    assert [int(n) for n in found["q"].shape] == [32, 3]
    if byteorder == "little":
        assert found["q"].data.tobytes() == blocks.tobytes()


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_we_read_what_gguf_py_writes_and_write_the_same(tmp_path, byteorder):
    peer = pytest.importorskip("gguf", reason="gguf-py is not installed")
    path = tmp_path / "peer.gguf"
    endian = peer.GGUFEndian.LITTLE if byteorder == "little" else peer.GGUFEndian.BIG
    writer = peer.GGUFWriter(path, "llama", endianess=endian)
    for kind, value in PEER_VALUES.items():
        getattr(writer, f"add_{PEER_TYPES[kind]}")(kind.name, value)
    writer.add_array("ints", [1, -2, 3])
    writer.add_array("words", ["a", "", "ccc"])
    writer.add_array("nested", [[1, 2], [3]])
    writer.add_custom_alignment(64)
    floats = np.linspace(-1, 1, 96, dtype=np.float32).reshape(3, 32)
    writer.add_tensor("f", floats.copy())
    writer.add_tensor("h", floats.astype(np.float16))
    writer.add_tensor("one", np.ones(1, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    opened = GGUF.open(path)
    assert opened.byteorder == byteorder
    assert opened.alignment == 64
    for kind, value in PEER_VALUES.items():
        assert opened.metadata.type(kind.name) is kind
        assert opened.metadata[kind.name] == value
    assert opened.metadata["ints"].tolist() == [1, -2, 3]
    assert opened.metadata["words"].tolist() == ["a", "", "ccc"]
    assert opened.metadata.type("nested") == ArrayType(ArrayType(ValueType.INT32))
    assert opened.metadata["nested"].tolist() == [[1, 2], [3]]
    assert opened["f"].numpy().tolist() == floats.tolist()
    assert opened["h"].numpy().tolist() == floats.astype(np.float16).tolist()
    write(tmp_path / "copy.gguf", opened.metadata, opened)
    assert (tmp_path / "copy.gguf").read_bytes() == path.read_bytes()
