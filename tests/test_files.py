"""Files appear whole or not at all: whatever call fails, and whenever the process is killed."""

from __future__ import annotations

import errno
import itertools
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from llamapy import FormatError, OutputError, gguf
from llamapy.files import BUFFER, Replacement, replacing

posix = pytest.mark.skipif(os.name == "nt", reason="pipes, signals and /dev are POSIX")
OLD, NEW = b"old", b"n" * (2 * BUFFER + 5)


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "a.bin"
    for content in (OLD, NEW, b""):
        with replacing(path) as out:
            for at in range(0, len(content), 700_001):
                out.write(content[at : at + 700_001])
        assert path.read_bytes() == content
    assert listing(tmp_path) == ["a.bin"]


def test_nothing_is_seen_before_the_end(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(OLD)
    with replacing(path) as out:
        out.write(NEW)
        assert path.read_bytes() == OLD
        [hidden] = [name for name in listing(tmp_path) if name != "a.bin"]
        assert hidden.startswith(".a.bin.")
        assert hidden.endswith(".part")
        assert stat.S_IMODE((tmp_path / hidden).stat().st_mode) == 0o600
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existed", [False, True])
def test_an_error_leaves_everything_as_it_was(tmp_path, error, existed):
    path = tmp_path / "a.bin"
    if existed:
        path.write_bytes(OLD)

    def fail() -> None:
        with replacing(path) as out:
            out.write(NEW)
            raise error

    with pytest.raises(error):
        fail()
    assert listing(tmp_path) == (["a.bin"] if existed else [])
    assert not existed or path.read_bytes() == OLD


def test_anything_with_bytes_can_be_written(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    with replacing(tmp_path / "a.bin") as out:
        for data in (b"ab", bytearray(b"cd"), memoryview(b"ef"), array, np.empty((0, 3))):
            out.write(data)
    assert (tmp_path / "a.bin").read_bytes() == b"abcdef" + array.tobytes()


def test_several_files_come_together(tmp_path):
    with Replacement() as new:
        for name in "abc":
            with new.file(tmp_path / name) as out:
                out.write(name.encode())
        assert not set("abc") & set(listing(tmp_path))
    assert listing(tmp_path) == ["a", "b", "c"]


# ---- the target


@posix
def test_permissions(tmp_path):
    path = tmp_path / "a.bin"
    before = os.umask(0o027)
    try:
        with replacing(path) as out:
            out.write(NEW)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        with replacing(path) as out:
            out.write(OLD)
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


@posix
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.bin").write_bytes(OLD)
    (tmp_path / "link.bin").symlink_to("real.bin")
    with replacing(tmp_path / "link.bin") as out:
        out.write(NEW)
    assert (tmp_path / "link.bin").is_symlink()
    assert (tmp_path / "real.bin").read_bytes() == NEW


def test_long_names(tmp_path):
    for name in ("n" * 250, "é" * 125):
        with replacing(tmp_path / name) as out:
            out.write(NEW)
        assert (tmp_path / name).read_bytes() == NEW


@posix
def test_what_is_no_file_is_left_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder", Path("/dev/null")):
        with pytest.raises(OutputError, match="not a regular file"), replacing(path):
            pass
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(OutputError, match="there is no folder"),
        replacing(tmp_path / "nowhere" / "a"),
    ):
        pass


def test_space_is_checked_before_anything_is_written(tmp_path):
    rule = r"needs 9000000000000000000 bytes, and \d+ are free"
    with pytest.raises(OutputError, match=rule), replacing(tmp_path / "a.bin", needed=9 * 10**18):
        pass
    huge = gguf.Stream("F32", (10**15,), lambda: pytest.fail("the stream was begun"))
    with pytest.raises(OutputError, match=r"needs 4000000000000\d+ bytes, and \d+ are free"):
        gguf.write(tmp_path / "a.gguf", {}, {"t": huge})
    assert listing(tmp_path) == []


# ---- every call fails in turn

CALLS = ("open", "write", "fsync", "replace")


class Failing:
    """Makes the n-th call of the functions that touch the disk fail."""

    def __init__(self, monkeypatch, n: int, error: BaseException) -> None:
        self.calls, self.n, self.error = 0, n, error
        for name in CALLS:
            # putting bytes on disk for good would only cost time here
            function = getattr(os, name) if name != "fsync" else lambda descriptor: None
            monkeypatch.setattr(f"llamapy.files.os.{name}", self.counted(function))

    def counted(self, function):
        def call(*args, **kwargs):
            self.calls += 1
            if self.calls == self.n:
                raise self.error
            return function(*args, **kwargs)

        return call


def write_one(folder: Path) -> None:
    with replacing(folder / "a") as out:
        out.write(NEW)


def write_model(folder: Path) -> None:
    tensors = {name: np.full(300_000, 7, np.float32) for name in "xyz"}
    gguf.write(folder / "a", {"k": "v"}, tensors)


def write_parts(folder: Path) -> None:
    tensors = {name: np.full(300_000, 7, np.float32) for name in "xyz"}
    gguf.write(folder / "a.gguf", {"k": "v"}, tensors, split_max_tensors=1)


FAILURES = {
    "ENOSPC": OSError(errno.ENOSPC, "No space left on device"),
    "Ctrl-C": KeyboardInterrupt(),
}


@pytest.mark.parametrize("error", FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize("old", [False, True], ids=["new", "replaced"])
@pytest.mark.parametrize("work", [write_one, write_model, write_parts])
def test_every_call_may_fail(tmp_path, work, old, error):
    for n in itertools.count(1):
        folder = tmp_path / str(n)
        folder.mkdir()
        if old:
            (folder / "a").write_bytes(OLD)
        with pytest.MonkeyPatch.context() as patch:
            failing = Failing(patch, n, error)
            told = getattr(error, "strerror", None)
            kind = OutputError if told else KeyboardInterrupt
            try:
                with pytest.raises(kind, match=told):
                    work(folder)
            except pytest.fail.Exception:
                assert failing.calls < n
                break  # nothing failed any more
        renamed = old and (folder / "a").read_bytes() != OLD
        if renamed:  # only putting the folder itself on disk failed
            assert failing.calls == n
            assert gguf.GGUF.open(folder / "a") if work is write_model else True
        assert listing(folder) == (["a"] if old else [])
    assert n > 4
    expected = ["a"] if work is not write_parts else [f"a-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    assert set(expected) <= set(listing(folder))
    assert not [name for name in listing(folder) if name.endswith(".part")]


def test_short_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr("llamapy.files.os.write", lambda fd, data: write(fd, data[:100_003]))
    with replacing(tmp_path / "a") as out:
        out.write(NEW)
    assert (tmp_path / "a").read_bytes() == NEW


def test_a_disk_that_cannot_sync_folders_is_accepted(tmp_path, monkeypatch):
    fsync = os.fsync

    def refuse_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr("llamapy.files.os.fsync", refuse_folders)
    with replacing(tmp_path / "a") as out:
        out.write(NEW)
    assert (tmp_path / "a").read_bytes() == NEW


# ---- kill -9

WRITER = """
import os, sys
import numpy as np
from llamapy import gguf

def model(number):
    piece = np.full(50_000, number, np.float32)
    stream = gguf.Stream("F32", (6, 50_000), lambda: [piece] * 6)
    return {"number": number}, {"a": stream, "b": stream}

gguf.write(sys.argv[1], *model(0))  # all modules are loaded now
for line in sys.stdin:
    folder, parts = line.split()
    child = os.fork()
    if not child:
        for number in range(1, 1_000_000):
            if parts == "1":
                gguf.write(f"{folder}/m.gguf", *model(number))
            else:
                gguf.write(f"{folder}/m{number}.gguf", *model(number), split_max_tensors=1)
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


def whole(path: Path) -> bool:
    with gguf.GGUF.open(path) as opened:
        number = opened.metadata["number"]
        return len(opened) == 2 and all((t.numpy() == number).all() for t in opened.values())


@posix
@pytest.mark.parametrize("parts", [1, 2])
def test_killed_writers_leave_whole_files(tmp_path, parts):
    rng = random.Random(5)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    found = unfinished = 0
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "first.gguf")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as server:
        for kill in range(24):
            folder = tmp_path / str(kill)
            folder.mkdir()
            server.stdin.write(f"{folder} {parts}\n")
            server.stdin.flush()
            child = int(server.stdout.readline())
            time.sleep(rng.uniform(0, 0.08))
            os.kill(child, signal.SIGKILL)
            assert server.stdout.readline() == "dead\n"
            pattern = "m*.gguf" if parts == 1 else "m*-00001-of-00002.gguf"
            for path in folder.glob(pattern):
                assert whole(path)
                found += 1
            unfinished += len(list(folder.glob(".m*.part")))
        server.stdin.close()
    assert found >= 5
    assert unfinished >= 5  # it was killed in the middle


def test_a_cut_file_is_refused(tmp_path):
    gguf.write(tmp_path / "m.gguf", {"number": 1}, {"a": np.ones(1_000, np.float32)})
    data = (tmp_path / "m.gguf").read_bytes()
    for size in range(0, len(data), 97):
        with pytest.raises(FormatError):
            gguf.GGUF.open(data[:size])
