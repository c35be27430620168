"""Writing: what may be a tensor, what is refused, splits, progress."""

from __future__ import annotations

import itertools
import struct

import numpy as np
import pytest

from llamapy import Cancelled, ShapeError, UnsupportedError, quants
from llamapy.gguf import GGUF, Encoded, Metadata, Stream, ValueType, typed, write
from llamapy.testing.raw_gguf import file, number, record, u32, u64

ROWS = np.linspace(-1, 1, 128, dtype=np.float32).reshape(4, 32)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("llamapy.files.os.fsync", lambda descriptor: None)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.gguf"


def listing(folder) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_the_bytes_of_a_small_file(path):
    write(path, {"k": typed(ValueType.UINT32, 5)}, {"t": np.arange(8, dtype=np.float32)})
    expected = file(number("k"), tensors=[record("t", [8])], data=b"")
    assert path.read_bytes() == expected + struct.pack("<8f", *range(8))


def test_a_file_without_tensors_is_not_padded(path):
    write(path, {}, {})
    assert path.read_bytes() == b"GGUF" + u32(3) + u64(0) + u64(0)


def test_the_last_tensor_is_padded(path):
    write(path, {}, {"t": np.ones(3, np.float32)})
    assert path.stat().st_size == 64 + 32
    assert path.read_bytes()[-20:] == bytes(20)


@pytest.mark.parametrize(
    ("dtype", "name"),
    [("f4", "F32"), ("f2", "F16"), ("f8", "F64"), ("i1", "I8"), ("i2", "I16"), ("i4", "I32"),
     ("i8", "I64"), (">f4", "F32"), (">i8", "I64")],
)  # fmt: skip
def test_the_dtype_is_the_type(path, dtype, name):
    values = np.arange(12).astype(dtype).reshape(3, 4)
    write(path, {}, {"t": values, "turned": values.T})
    opened = GGUF.open(path)
    assert opened["t"].quant.name == name
    assert opened["t"].numpy().tolist() == values.tolist()
    assert opened["turned"].numpy().tolist() == values.T.tolist()


@pytest.mark.parametrize("dtype", ["u1", "u4", "u8", "?", "c8", "U3", "O", "M8[s]"])
def test_other_dtypes_are_refused(path, dtype):
    with pytest.raises(UnsupportedError, match=r"^t is an array of .*: convert it"):
        write(path, {}, {"t": np.zeros(4, dtype)})


@pytest.mark.parametrize("value", [[1.0, 2.0], 1.0, None, b"abc", np.float32(1)])
def test_other_values_are_refused(path, value):
    with pytest.raises(UnsupportedError, match=r"^t is a .*: pass an ndarray"):
        write(path, {}, {"t": value})
    assert not path.exists()


def test_tensors_may_be_pairs_from_a_generator(path):
    write(path, {}, ((name, np.full(3, ord(name), np.float32)) for name in "ba"))
    assert list(GGUF.open(path)) == ["b", "a"]


def test_tensors_of_several_files(path, tmp_path):
    write(tmp_path / "x.gguf", {}, {"a": ROWS}, byteorder="big")
    write(
        tmp_path / "y.gguf", {}, {"b": Encoded("Q8_0", (4, 32), quants.get("Q8_0").quantize(ROWS))}
    )
    x, y = GGUF.open(tmp_path / "x.gguf"), GGUF.open(tmp_path / "y.gguf")
    write(path, {}, {"first": y["b"], "second": x["a"], "third": -ROWS})
    opened = GGUF.open(path)
    assert opened.byteorder == "little"
    assert opened["first"].raw.tobytes() == y["b"].raw.tobytes()
    assert opened["second"].numpy().tolist() == ROWS.tolist()


def test_a_file_may_be_written_over_itself(path):
    write(path, {"k": 1}, {"a": ROWS})
    with GGUF.open(path) as opened:
        write(path, opened.metadata.updated({"k": 2}), opened)
        assert opened["a"].numpy().tolist() == ROWS.tolist()
    with GGUF.open(path) as opened:
        assert opened.metadata["k"] == 2
        assert opened["a"].numpy().tolist() == ROWS.tolist()


# ---- streams


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("size", [1, 3, 33, 34, 35, 100, 10_000])
def test_streams_come_in_pieces_of_any_size(path, size, byteorder):
    raw = quants.get("Q8_0").quantize(ROWS).tobytes()
    stream = Stream(
        "Q8_0", (4, 32), lambda: (raw[at : at + size] for at in range(0, len(raw), size))
    )
    write(path, {}, {"t": stream, "u": Encoded("Q8_0", (4, 32), raw)}, byteorder=byteorder)
    opened = GGUF.open(path)
    assert opened["t"].encoded().tobytes() == raw
    assert opened["u"].raw.tobytes() == opened["t"].raw.tobytes()


def test_streams_are_begun_in_turn_and_once(path):
    begun = []

    def stream(name):
        def chunks():
            begun.append(name)
            yield np.ones((2, 3), np.float32)
            yield b""
            yield np.empty((0, 3), np.float32)
            yield bytearray(np.ones(6, np.float32).tobytes())

        return Stream("F32", (4, 3), chunks)

    write(path, {}, {name: stream(name) for name in "abc"})
    assert begun == ["a", "b", "c"]
    assert GGUF.open(path)["c"].numpy().tolist() == [[1] * 3] * 4


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize(
    ("size", "told"), [(135, "135"), (137, "or more"), (0, "0"), (272, "or more")]
)
def test_streams_of_the_wrong_length(path, size, told, byteorder):
    path.write_bytes(b"old")
    stream = Stream("Q8_0", (4, 32), lambda: [bytes(size)])
    with pytest.raises(
        ShapeError, match=rf"t of shape \(4, 32\) as Q8_0 takes 136 bytes, and .*{told}"
    ):
        write(path, {}, {"t": stream}, byteorder=byteorder)
    assert path.read_bytes() == b"old"
    assert listing(path.parent) == ["m.gguf"]


def test_endless_streams_end(path):
    stream = Stream("F32", (10, 32), lambda: itertools.repeat(bytes(64)))
    with pytest.raises(ShapeError, match="or more"):
        write(path, {}, {"t": stream})
    assert listing(path.parent) == []


def test_errors_of_streams_pass_and_leave_nothing(path):
    def chunks():
        yield bytes(64)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        write(path, {}, {"t": Stream("F32", (32,), chunks)})
    assert listing(path.parent) == []


# ---- what is refused


@pytest.mark.parametrize("name", ["a\0b", "n" * 64, "é" * 32, "\ud800", 5, None])
def test_names_that_no_file_holds(path, name):
    with pytest.raises(UnsupportedError, match="tensor name"):
        write(path, {}, {name: ROWS})


def test_limits_of_names_and_dimensions(path):
    write(path, {}, {"n" * 63: ROWS, "": ROWS.reshape(1, 1, 4, 32)})
    assert [len(name) for name in GGUF.open(path)] == [63, 0]
    with pytest.raises(ShapeError, match="5 dimensions"):
        write(path, {}, {"t": ROWS.reshape(1, 1, 1, 4, 32)})
    with pytest.raises(UnsupportedError, match="two tensors are named 't'"):
        write(path, {}, [("t", ROWS), ("t", ROWS)])


@pytest.mark.parametrize(
    ("shape", "rule"),
    [((4, 33), "divide"), ((), "divide"), ((-4, 32), "not negative"), ((2**62, 32), "more than"),
     ((0, 2**62, 32), "more than"), ((1, 1, 1, 4, 32), "dimensions")],
)  # fmt: skip
def test_impossible_shapes(path, shape, rule):
    with pytest.raises(ShapeError, match=rule):
        write(path, {}, {"t": Encoded("Q8_0", shape, b"")})


def test_options_that_make_no_sense(path):
    for options, rule in (
        ({"byteorder": "middle"}, "byteorder 'middle'"),
        ({"version": 1}, "version 1"),
        ({"version": 4}, "version 4"),
        ({"alignment": 3}, "power of two"),
        ({"alignment": 0}, "power of two"),
        ({"alignment": -32}, "UINT32|power of two"),
        ({"alignment": 1 << 21}, "limit"),
        ({"split_max_size": 0}, "split_max_size is 0"),
        ({"split_max_tensors": -1}, "split_max_tensors is -1"),
    ):
        with pytest.raises(UnsupportedError, match=rule):
            write(path, {}, {"t": ROWS}, **options)
    for alignment in (3, "32", typed(ValueType.UINT64, 2**40)):
        with pytest.raises(UnsupportedError):
            write(path, {"general.alignment": alignment}, {"t": ROWS})
    with pytest.raises(UnsupportedError, match="no block format"):
        write(path, {}, {"t": Encoded("Q9", (1, 32), b"")})
    assert listing(path.parent) == []


# ---- alignment, version, byte order


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096])
def test_alignment(path, alignment):
    write(path, {"k": 1}, {"a": np.ones(3, np.int8), "b": ROWS}, alignment=alignment)
    opened = GGUF.open(path)
    assert opened.alignment == opened.metadata["general.alignment"] == alignment
    assert opened.metadata.type("general.alignment") is ValueType.UINT32
    assert opened.data_offset % alignment == 0
    assert opened["b"].offset - opened["a"].offset == max(alignment, 3 if alignment == 1 else 0)
    assert opened["b"].numpy().tolist() == ROWS.tolist()
    write(path, opened.metadata, opened, alignment=32)
    assert GGUF.open(path).metadata["general.alignment"] == 32


def test_alignment_of_a_plain_number(path):
    write(path, {"general.alignment": 64}, {"t": ROWS})
    assert GGUF.open(path).alignment == 64


def test_a_copy_keeps_version_and_byte_order_unless_told(path, tmp_path):
    write(tmp_path / "x.gguf", {"k": [1, 2]}, {"t": ROWS}, version=2, byteorder="big")
    source = GGUF.open(tmp_path / "x.gguf")
    write(path, source.metadata, source)
    assert (GGUF.open(path).version, GGUF.open(path).byteorder) == (2, "big")
    write(path, source.metadata, source, version=3, byteorder="little")
    opened = GGUF.open(path)
    assert (opened.version, opened.byteorder) == (3, "little")
    assert opened.metadata == source.metadata
    write(path, source.metadata, dict(source))
    assert (GGUF.open(path).version, GGUF.open(path).byteorder) == (3, "little")


def test_writing_is_deterministic(tmp_path):
    contents = {"a": 1, "b": ["x"]}, {"t": ROWS}
    write(tmp_path / "1.gguf", *contents)
    write(tmp_path / "2.gguf", *contents)
    assert (tmp_path / "1.gguf").read_bytes() == (tmp_path / "2.gguf").read_bytes()


def test_bytes_that_are_no_text_are_kept(path):
    from llamapy.testing.raw_gguf import ARRAY, BOOL, FLOAT32, STRING, array, entry, text

    data = file(
        entry("text", STRING, text(b"\xff")),
        entry("words", ARRAY, array(STRING, 2, text(b"\xfe") + text("b"))),
        entry("nan", FLOAT32, u32(0x7F800001)),
        entry("odd", BOOL, b"\2"),
    )
    opened = GGUF.open(data)
    write(path, opened.metadata, opened)
    assert path.read_bytes() == data
    write(path, opened.metadata, opened, byteorder="big")
    turned = GGUF.open(path)
    assert turned.metadata["words"].raw(0) == b"\xfe"
    write(path, turned.metadata, turned, byteorder="little")
    assert path.read_bytes() == data


# ---- several files


def test_splits_by_number_and_size(path, tmp_path):
    tensors = {f"t{i}": np.full(8, i, np.float32) for i in range(5)}
    paths = write(path, {"k": "v"}, tensors, split_max_tensors=2)
    assert [p.name for p in paths] == [f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    assert listing(tmp_path) == [p.name for p in paths]
    sizes = [len(GGUF.open(paths[0]))]
    assert sizes == [5]
    by_size = write(path, {"k": "v"}, tensors, split_max_size=64)
    assert [p.read_bytes() for p in by_size] == [p.read_bytes() for p in paths]
    assert len(write(path, {}, tensors, split_max_size=63)) == 5
    assert len(write(path, {}, tensors, split_max_size=1)) == 5
    assert write(path, {}, tensors, split_max_size=160) == (path,)
    assert len(write(path, {}, tensors, split_max_size=96, split_max_tensors=4)) == 2


def test_parts_say_what_they_are(path):
    tensors = {name: ROWS for name in "abc"}
    paths = write(path, {"k": "v", "general.alignment": 64}, tensors, split_max_tensors=2)
    from llamapy.gguf.header import read_header
    from llamapy.gguf.source import Source

    first, second = (Metadata.of(read_header(Source.of_file(p)).values) for p in paths)
    ties = ["split.no", "split.tensors.count", "split.count"]
    assert list(first) == ["k", "general.alignment", *ties]
    assert list(second) == ["general.alignment", *ties]
    assert [first["split.no"], second["split.no"]] == [0, 1]
    for metadata in (first, second):
        assert metadata["split.count"] == 2
        assert metadata["split.tensors.count"] == 3
        assert metadata.type("split.no") is metadata.type("split.count") is ValueType.UINT16
        assert metadata.type("split.tensors.count") is ValueType.INT32


def test_a_split_model_is_joined_and_split_anew(path, tmp_path):
    tensors = {name: ROWS * ord(name) for name in "abcd"}
    whole = tmp_path / "whole.gguf"
    write(whole, {"k": "v"}, tensors)
    [first, *_] = write(path, {"k": "v"}, tensors, split_max_tensors=1)
    with GGUF.open(first) as opened:
        joined = write(tmp_path / "joined.gguf", opened.metadata, opened)
        again = write(tmp_path / "again.gguf", opened.metadata, opened, split_max_tensors=3)
    assert joined[0].read_bytes() == whole.read_bytes()
    with GGUF.open(again[0]) as opened:
        assert len(opened.paths) == 2
        assert opened["d"].numpy().tolist() == (ROWS * ord("d")).tolist()
    # the name of a part gives its parts no longer name
    parts = write(first, {"k": "v"}, tensors, split_max_tensors=2)
    assert [p.name for p in parts] == ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]


# ---- progress


def test_progress_is_told_of_every_byte(path):
    told = []
    tensors = {"a": np.ones(3_000_000, np.float32), "b": np.ones(3, np.float32)}
    write(path, {}, tensors, progress=lambda done, total: told.append((done, total)))
    assert {total for _, total in told} == {path.stat().st_size}
    done = [done for done, _ in told]
    assert done == sorted(set(done))
    assert done[-1] == path.stat().st_size
    assert max(b - a for a, b in itertools.pairwise([0, *done])) <= 1 << 22


def stop_at(call: int):
    answers = iter([True] * (call - 1) + [False])
    return lambda done, total: next(answers)


@pytest.mark.parametrize("split", [None, 1])
def test_progress_cancels(path, split):
    path.write_bytes(b"old")
    tensors = {name: ROWS for name in "abc"}
    for stop in range(1, 5):
        with pytest.raises(Cancelled, match=r"cancelled after \d+ of \d+ bytes"):
            write(path, {}, tensors, split_max_tensors=split, progress=stop_at(stop))
        assert path.read_bytes() == b"old"
        assert listing(path.parent) == ["m.gguf"]


def test_progress_that_says_nothing_goes_on(path):
    answers = iter([None, True, 1, 0, ""] * 10)
    write(path, {}, {"t": ROWS}, progress=lambda done, total: next(answers))
