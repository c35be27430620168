"""Models in several files: followed from the first, and refused when one lies."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from llamapy import FormatError, UnsupportedError
from llamapy.gguf import GGUF, write
from llamapy.testing.raw_gguf import F32, UINT16, entry, file, number, record, text, u32, u64

posix = pytest.mark.skipif(os.name == "nt", reason="pipes, signals and /dev are POSIX")


@pytest.fixture
def parts(tmp_path) -> list[Path]:
    tensors = {name: np.full(40, i, np.float32) for i, name in enumerate("abc")}
    return list(write(tmp_path / "m.gguf", {"k": "v"}, tensors, split_max_tensors=1))


def test_parts_are_followed(parts):
    opened = GGUF.open(parts[0])
    assert opened.paths == tuple(parts)
    assert {name: t.numpy()[0] for name, t in opened.items()} == {"a": 0, "b": 1, "c": 2}
    assert opened.metadata["k"] == "v"
    assert opened.size == sum(path.stat().st_size for path in parts)
    assert "in 3 files" in repr(opened)
    opened.close()
    with pytest.raises(UnsupportedError, match="00002-of-00003"):
        _ = opened["b"].raw


def change(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))


SPLIT_NO = text("split.no") + u32(UINT16)
SPLIT_COUNT = text("split.count") + u32(UINT16)
SPLIT_TENSORS = text("split.tensors.count") + u32(5)


def test_a_missing_part(parts):
    parts[1].unlink()
    with pytest.raises(FormatError, match=r"part 2 of 3 is missing: put m-00002-of-00003.gguf"):
        GGUF.open(parts[0])


def test_opening_a_later_part(parts):
    with pytest.raises(FormatError, match=r"part 2 of 3: open the first, m-00001-of-00003.gguf"):
        GGUF.open(parts[1])


def test_a_renamed_part(parts, tmp_path):
    other = parts[0].rename(tmp_path / "other.gguf")
    with pytest.raises(FormatError, match=r"must be named other-00001-of-00003.gguf"):
        GGUF.open(other)


def test_swapped_parts(parts):
    second, third = parts[1].read_bytes(), parts[2].read_bytes()
    parts[1].write_bytes(third)
    parts[2].write_bytes(second)
    with pytest.raises(FormatError, match=r"00002-of-00003.gguf says 2 where 1") as caught:
        GGUF.open(parts[0])
    assert caught.value.field == "split.no"


@pytest.mark.parametrize(
    ("which", "old", "new", "field"),
    [
        (1, SPLIT_COUNT + b"\3", SPLIT_COUNT + b"\4", "split.count"),
        (0, SPLIT_COUNT + b"\3", SPLIT_COUNT + b"\2", "file"),
        (0, SPLIT_COUNT + b"\3\0", SPLIT_COUNT + b"\xff\xff", "file"),
        (0, SPLIT_TENSORS + b"\3", SPLIT_TENSORS + b"\4", "split.tensors.count"),
        (0, SPLIT_TENSORS, text("split.tensors.other") + u32(5), "split.tensors.count"),
        (2, SPLIT_NO, text("split.xx") + u32(UINT16), "split.no"),
        (2, SPLIT_NO, text("split.no") + u32(3), "split.no"),
        (0, SPLIT_NO + b"\0", SPLIT_NO + b"\1", "split.no"),
        (1, text("b") + u32(1), text("a") + u32(1), "tensor name"),
        (1, b"GGUF", b"FUGG", "magic"),
        (1, u64(40) + u32(F32) + u64(0), u64(40) + u32(F32) + u64(32), "offset"),
    ],
)
def test_lying_parts(parts, which, old, new, field):
    change(parts[which], old, new)
    with pytest.raises(FormatError) as caught:
        GGUF.open(parts[0])
    assert caught.value.field == field


def test_parts_of_two_byte_orders(parts, tmp_path):
    opened = GGUF.open(parts[0])
    other = tmp_path / "other"
    other.mkdir()
    [_, second, _] = write(
        other / "m.gguf", opened.metadata, opened, byteorder="big", split_max_tensors=1
    )
    parts[1].write_bytes(second.read_bytes())
    with pytest.raises(FormatError, match="big-endian, unlike the first"):
        GGUF.open(parts[0])


@posix
def test_a_part_that_is_a_pipe(parts):
    parts[2].unlink()
    os.mkfifo(parts[2])
    with pytest.raises(FormatError, match="not a regular file"):
        GGUF.open(parts[0])


def test_parts_in_memory(parts):
    with pytest.raises(FormatError, match="one of 3 parts"):
        GGUF.open(parts[0].read_bytes())


def test_a_joined_file_may_say_0_parts(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(file(entry("split.count", UINT16, b"\0\0"), number("k"), tensors=[record()]))
    opened = GGUF.open(path)
    write(tmp_path / "n.gguf", opened.metadata, opened)
    assert (tmp_path / "n.gguf").read_bytes() == path.read_bytes()
