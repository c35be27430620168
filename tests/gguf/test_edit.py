"""Editing metadata: the right bytes, in place only where no crash can tear them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from llamapy import Cancelled, FormatError, OutputError, UnsupportedError, gguf
from llamapy.gguf import GGUF, ArrayType, Metadata, ValueType, typed
from llamapy.gguf.edit import SECTOR
from llamapy.testing import tiny_model

SMALL = dict(layers=2, embedding=32, heads=2, kv_heads=1, feed_forward=64, context=64)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "model.gguf", **SMALL)


def inode(path: Path) -> int:
    return path.stat().st_ino


def contents(path: Path) -> tuple[Metadata, dict[str, bytes]]:
    with GGUF.open(path) as file:
        metadata = Metadata({key: typed(file.metadata.type(key), file.metadata[key])
                             for key in file.metadata})  # fmt: skip
        return metadata, {name: tensor.raw.tobytes() for name, tensor in file.items()}


def test_a_number_is_changed_in_place(model: Path) -> None:
    before, tensors = contents(model)
    old, node = model.read_bytes(), inode(model)
    assert gguf.edit(model, {"llama.context_length": 65}) is True
    assert inode(model) == node
    after, same = contents(model)
    assert after == before.updated({"llama.context_length": 65})
    assert same == tensors
    new = model.read_bytes()
    assert len(new) == len(old)
    assert [i for i in range(len(old)) if old[i] != new[i]] == [
        old.index(b"llama.context_length") + len("llama.context_length") + 4
    ]


def test_a_key_keeps_its_place_and_type(model: Path) -> None:
    before, _ = contents(model)
    gguf.edit(model, {"general.name": "a much longer name than there was before"})
    after, _ = contents(model)
    assert list(after) == list(before)
    assert after.type("general.name") is ValueType.STRING
    with pytest.raises(UnsupportedError, match=r"general\.name"):
        gguf.edit(model, {"general.name": 5})
    gguf.edit(model, {"general.name": typed(ValueType.UINT8, 5)})
    assert contents(model)[0].type("general.name") is ValueType.UINT8


@pytest.mark.parametrize(
    ("changes", "remove"),
    [
        ({"general.name": "another length"}, []),
        ({"new.key": typed(ValueType.UINT64, 7)}, []),
        ({}, ["general.name"]),
        ({"general.type": "adapter"}, ["general.name"]),
        ({"tokenizer.ggml.token_type": typed(ArrayType(ValueType.INT32), [1] * 264)}, []),
    ],
)
def test_what_moves_bytes_is_written_anew(
    model: Path, changes: dict[str, object], remove: list[str]
) -> None:
    before, tensors = contents(model)
    node = inode(model)
    model.chmod(0o640)
    assert gguf.edit(model, changes, remove) is (inode(model) == node)
    assert contents(model) == (before.updated(changes, remove), tensors)
    assert model.stat().st_mode & 0o777 == 0o640
    assert os.listdir(model.parent) == [model.name]


def test_in_place_means_one_sector(tmp_path: Path) -> None:
    """Wherever a number of 8 bytes stands: across the edge of a sector it is not overwritten."""
    seen = set()
    for shift in range(24):
        path = tmp_path / f"{shift}.gguf"
        gguf.write(
            path,
            {"a": "x" * (SECTOR - 60 + shift), "n": typed(ValueType.UINT64, 0)},
            {"t": np.arange(6, dtype=np.float32)},
        )
        old, node = path.read_bytes(), inode(path)
        in_place = gguf.edit(path, {"n": (1 << 64) - 1})
        changed = [i for i, (x, y) in enumerate(zip(old, path.read_bytes(), strict=True)) if x != y]
        assert len(changed) == 8
        assert in_place is (changed[0] // SECTOR == changed[-1] // SECTOR)
        assert in_place is (inode(path) == node)
        seen.add(in_place)
    assert seen == {True, False}


def test_two_numbers_far_apart_change_together(model: Path) -> None:
    changes = {"llama.block_count": 3, "tokenizer.ggml.eos_token_id": 5}
    assert gguf.edit(model, changes) is False
    with GGUF.open(model) as file:
        assert {key: file.metadata[key] for key in changes} == changes


def test_nothing_to_change_writes_nothing(model: Path) -> None:
    old = model.stat()
    assert gguf.edit(model) is True
    assert gguf.edit(model, {"llama.context_length": SMALL["context"]}) is True
    assert model.stat().st_mtime_ns == old.st_mtime_ns


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("version", [2, 3])
def test_byte_order_version_and_alignment_stay(
    tmp_path: Path, byteorder: str, version: int
) -> None:
    path = tmp_path / "a.gguf"
    tensors = {"a": np.arange(6, dtype=np.float32), "b": np.arange(5, dtype=np.int16)}
    gguf.write(path, {"k": 1, "s": "x"}, tensors, byteorder=byteorder, version=version, alignment=8)  # type: ignore[arg-type]
    assert gguf.edit(path, {"k": 2})
    assert not gguf.edit(path, {"s": "longer than it was"})
    with GGUF.open(path) as file:
        assert (file.byteorder, file.version, file.alignment) == (byteorder, version, 8)
        assert (file.metadata["k"], file.metadata["s"]) == (2, "longer than it was")
        for name, array in tensors.items():
            np.testing.assert_array_equal(file[name].numpy(), array)


def test_a_link_stays_a_link(model: Path) -> None:
    link = model.with_name("link.gguf")
    link.symlink_to(model.name)
    assert not gguf.edit(link, {"general.name": "behind the link"})
    assert link.is_symlink()
    assert contents(model)[0]["general.name"] == "behind the link"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists what is mapped")
def test_the_old_file_is_let_go_before_the_new_takes_its_place(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, mapped = os.replace, []

    def replace(source: Path, target: Path) -> None:
        mapped.append(str(model) in Path("/proc/self/maps").read_text())
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    gguf.edit(model, {"general.name": "another length"})
    assert mapped == [False]


def test_progress(model: Path) -> None:
    told = []
    gguf.edit(model, {"general.name": "x"}, progress=lambda *numbers: told.append(numbers))
    assert told[-1] == (model.stat().st_size,) * 2
    old = model.read_bytes()
    with pytest.raises(Cancelled, match="cancelled"):
        gguf.edit(model, {"general.name": "yy"}, progress=lambda done, total: False)
    assert model.read_bytes() == old
    assert os.listdir(model.parent) == [model.name]


# ---- what is refused


@pytest.mark.parametrize(
    ("changes", "remove", "message"),
    [
        ({"general.alignment": 64}, [], "gguf.write"),
        ({}, ["general.alignment"], "gguf.write"),
        ({"split.count": 2}, [], "gguf.split or gguf.merge"),
        ({"split.no": 0}, [], "gguf.split or gguf.merge"),
        ({"general.name": "x"}, ["general.name"], "both"),
        ({}, ["no.such.key"], "no.such.key"),
        ({"": 1}, [], "empty"),
        ({"llama.block_count": -1}, [], "UINT32"),
        ({"new": object()}, [], "new"),
    ],
)
def test_refused(model: Path, changes: dict[str, object], remove: list[str], message: str) -> None:
    old = model.read_bytes()
    with pytest.raises(UnsupportedError, match=message):
        gguf.edit(model, changes, remove)
    assert model.read_bytes() == old


def test_a_part_is_edited_alone(model: Path, tmp_path: Path) -> None:
    parts = gguf.split(model, tmp_path / "p", max_tensors=8)
    others = [path.read_bytes() for path in parts[1:]]
    with pytest.raises(UnsupportedError, match=r"gguf\.merge"):
        gguf.edit(parts[0], remove=["split.count"])
    assert not gguf.edit(parts[0], {"general.name": "in several files"})
    assert [path.read_bytes() for path in parts[1:]] == others
    with GGUF.open(parts[0]) as file, GGUF.open(model) as whole:
        assert file.metadata["general.name"] == "in several files"
        assert list(file) == list(whole)


def test_what_a_merge_left_over_may_go(model: Path) -> None:
    with GGUF.open(model) as file:
        metadata = file.metadata.updated({"split.count": typed(ValueType.UINT16, 0)})
        gguf.write(model.with_name("merged.gguf"), metadata, file)
    gguf.edit(model.with_name("merged.gguf"), remove=["split.count"])
    assert model.with_name("merged.gguf").read_bytes() == model.read_bytes()


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        gguf.edit(tmp_path / "none.gguf", {"a": 1})
    (tmp_path / "text").write_text("hello, this is no model")
    with pytest.raises(FormatError, match="GGUF"):
        gguf.edit(tmp_path / "text", {"a": 1})
    assert (tmp_path / "text").read_text() == "hello, this is no model"


# ---- what fails half-way


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_failing_rewrite_leaves_the_old_file(
    model: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    old = model.read_bytes()

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(OutputError, match="No space left"):
        gguf.edit(model, {"general.name": "another length"})
    monkeypatch.undo()
    assert model.read_bytes() == old
    assert os.listdir(model.parent) == [model.name]


def test_a_file_that_changed_meanwhile_is_left_alone(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["llamapy.gguf.edit"]  # the name is the function's
    real = module._overwrite

    def after_another_program(path: Path, at: int, old: bytes, new: bytes) -> None:
        path.write_bytes(path.read_bytes()[:at] + b"\x77" + path.read_bytes()[at + 1 :])
        real(path, at, old, new)

    monkeypatch.setattr(module, "_overwrite", after_another_program)
    with pytest.raises(OutputError, match="another program"):
        gguf.edit(model, {"llama.context_length": 65})


EDITS_FOR_EVER = """
import sys
from llamapy import gguf
print("ready", flush=True)
i = 0
while True:
    i += 1
    gguf.edit(sys.argv[1], {"general.name": "x" * (i % 7), "llama.context_length": i % 7})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_edit_leaves_the_old_file_or_the_new(model: Path) -> None:
    _, tensors = contents(model)
    for delay in (0.001, 0.004, 0.013):
        process = subprocess.Popen(
            [sys.executable, "-c", EDITS_FOR_EVER, str(model)], stdout=subprocess.PIPE
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(delay)
            process.kill()
        metadata, same = contents(model)
        assert same == tensors
        name = metadata["general.name"]
        assert name == "Tiny llama 0" or len(name) == metadata["llama.context_length"]
