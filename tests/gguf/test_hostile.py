"""Malformed files: each gets its verdict, by one type of error, at once and in little memory."""

from __future__ import annotations

import contextlib
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from llamapy import FormatError
from llamapy.gguf import GGUF, types
from llamapy.testing import hostile
from llamapy.testing.mutants import mutants
from llamapy.testing.raw_gguf import (
    ALIGNMENT,
    ARRAY,
    BOOL,
    I8,
    Q8_0,
    STRING,
    UINT8,
    UINT32,
    array,
    entry,
    file,
    header,
    number,
    record,
    text,
    u32,
    u64,
)

KINDS = hostile.kinds()
BY_NAME = {kind.name: kind.data for kind in KINDS}
SMALL = [BY_NAME[name] for name in ("DATA_SUCCESS", "TENSORS_CUSTOM_ALIGN", "BIG_ENDIAN")]
BASES = SMALL + [BY_NAME[name] for name in ("KV_SUCCESS", "ARRAY_NESTED_TO_THE_LIMIT", "DIMS_0")]
posix = pytest.mark.skipif(os.name == "nt", reason="pipes, signals and /dev are POSIX")
MILLION = 1 << 20


def verdict(data: bytes) -> str:
    """The field at which a file is refused. All of a file that is not refused is looked at."""
    try:
        opened = GGUF.open(data)
    except FormatError as error:
        return error.field
    for tensor in opened.values():
        assert tensor.raw.size == tensor.n_bytes
        assert tensor.n_values >= 0
    for key in opened.metadata:
        try:
            value = opened.metadata[key]
            if hasattr(value, "tolist"):
                value.tolist()
        except FormatError as error:
            if error.field != "string":
                raise
    return hostile.ACCEPTED


def test_there_are_enough_kinds():
    assert len(KINDS) == len(BY_NAME) >= 105


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_verdict(kind):
    assert verdict(kind.data) == kind.verdict


@pytest.mark.parametrize("kind", [k for k in KINDS if k.verdict], ids=lambda kind: kind.name)
def test_errors_say_where_and_what_to_do(kind):
    with pytest.raises(FormatError) as caught:
        GGUF.open(kind.data)
    error = caught.value
    assert 0 <= error.offset <= len(kind.data)
    assert str(error).startswith(f"byte {error.offset}: {kind.verdict}: ")
    assert ": " in str(error).split(kind.verdict, 1)[1][2:]  # ... rule: what to do next
    assert len(str(error)) < 500


def test_all_kinds_are_judged_quickly_in_little_memory():
    for kind in KINDS:
        verdict(kind.data)
        start = time.perf_counter()
        verdict(kind.data)
        first = time.perf_counter() - start
        if first > 0.05:  # the machine may have been busy
            start = time.perf_counter()
            verdict(kind.data)
            assert min(first, time.perf_counter() - start) < 0.05, kind.name
        tracemalloc.start()
        verdict(kind.data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 * MILLION, kind.name


LARGE = {
    "strings": array(STRING, MILLION // 8, bytes(MILLION)),
    "strings, the last one lies": array(STRING, MILLION // 8, bytes(MILLION - 8) + b"\xff" * 8),
    "arrays": array(ARRAY, MILLION // 12, array(UINT8, 0) * (MILLION // 12)),
    "arrays to the limit": array(ARRAY, 8_192, array(STRING, 5, bytes(40)) * 8_192),
    "bools": array(BOOL, MILLION, b"\2" * MILLION),
}


@pytest.mark.parametrize("payload", LARGE.values(), ids=LARGE.keys())
def test_megabytes_of_metadata_are_quick_and_small(payload):
    data = file(entry("k", ARRAY, payload))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        with contextlib.suppress(FormatError):
            GGUF.open(data)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.25  # 0.05 on a quiet machine
    tracemalloc.start()
    with contextlib.suppress(FormatError):
        assert GGUF.open(data).metadata["k"] is not None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * MILLION


# ---- damage


@pytest.mark.parametrize("data", SMALL, ids=["little", "packed", "big"])
def test_every_truncation_is_refused(data):
    opened = GGUF.open(data)
    end = max(tensor.offset + tensor.n_bytes for tensor in opened.values())
    for size in range(end):
        assert verdict(data[:size]) != hostile.ACCEPTED, size
    assert verdict(data[:end]) == hostile.ACCEPTED


@pytest.mark.parametrize("data", SMALL, ids=["little", "packed", "big"])
def test_every_bit_flipped(data):
    for bit in range(8 * GGUF.open(data).data_offset):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        verdict(bytes(flipped))


def test_hundred_thousand_mutants():
    accepted = sum(verdict(mutant) == hostile.ACCEPTED for mutant in mutants(BASES, 7, 100_000))
    assert 2_000 < accepted < 50_000  # else they are all dead on arrival, or all harmless


def test_mutants_are_reproducible():
    assert list(mutants(BASES, 3, 50)) == list(mutants(BASES, 3, 50))
    assert list(mutants(BASES, 3, 50)) != list(mutants(BASES, 4, 50))


def test_accepted_mutants_decode_and_are_written_again(tmp_path):
    from llamapy.gguf import write

    written = 0
    for mutant in mutants(BASES, 11, 3_000):
        try:
            opened = GGUF.open(mutant)
        except FormatError:
            continue
        for tensor in opened.values():
            assert tensor.numpy().shape == tensor.shape
        if written < 25:
            [path] = write(tmp_path / "m.gguf", opened.metadata, opened)
            again = GGUF.open(path)
            assert again.metadata == opened.metadata
            assert all((again[name].raw == opened[name].raw).all() for name in opened)
            written += 1
    assert written == 25


# ---- limits: at the limit, and one more


def names(count: int) -> bytes:
    return b"".join(entry(f"{i:05}", UINT8, b"1") for i in range(count))


def of_strings(limit: int) -> bytes:
    return file(entry("k", ARRAY, array(ARRAY, limit, array(UINT8, 0) * limit)))


LIMITS = {
    "MAX_KEY_BYTES": lambda n: file(number("k" * n)),
    "MAX_KEYS": lambda n: header(0, n) + names(n),
    "MAX_ARRAY_DEPTH": lambda n: file(
        entry("k", ARRAY, array(ARRAY, 1) * (n - 1) + array(UINT8, 1, b"1"))
    ),
    "MAX_INNER_ARRAYS": of_strings,
    "MAX_NAME_BYTES": lambda n: file(tensors=[record("n" * n)]),
    "MAX_DIMENSIONS": lambda n: file(tensors=[record(sizes=[1] * n)]),
    "MAX_EMPTY_VALUES": lambda n: file(tensors=[record(sizes=[n, 0])]),
    "MAX_ALIGNMENT": lambda n: file(
        entry(ALIGNMENT, UINT32, u32(n)), tensors=[record()], alignment=n
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limit(name):
    limit = getattr(types, name)
    over = 2 * limit if name == "MAX_ALIGNMENT" else limit + 1
    assert verdict(LIMITS[name](limit)) == hostile.ACCEPTED
    assert verdict(LIMITS[name](over)) != hostile.ACCEPTED


def test_limit_of_values():
    largest = types.MAX_VALUES
    # there cannot be so many bytes, so that the verdict tells the rule
    assert verdict(file(tensors=[record(sizes=[largest], kind=I8)])) == "data"
    assert verdict(file(tensors=[record(sizes=[largest + 1], kind=I8)])) == "shape"


def test_limit_of_tensors():
    records = b"".join(record(f"{i:06}", [0]) for i in range(types.MAX_TENSORS // 100))
    few = header(types.MAX_TENSORS // 100, 0) + records + bytes(32)
    assert len(GGUF.open(few)) == types.MAX_TENSORS // 100
    # a million take seconds: the count alone shows the rule
    room = bytes(25 * types.MAX_TENSORS)
    with pytest.raises(FormatError, match="there twice"):
        GGUF.open(header(types.MAX_TENSORS, 0) + room)
    with pytest.raises(FormatError, match="limit of 1000000"):
        GGUF.open(header(types.MAX_TENSORS + 1, 0) + room)


@pytest.mark.parametrize("more", [0, 1])
def test_limit_of_strings(tmp_path, more):
    # a file with a hole: the gibibyte is neither written nor read
    length = types.MAX_STRING_BYTES + more
    path = tmp_path / "sparse.gguf"
    for payload in (
        u32(STRING) + u64(length),
        u32(ARRAY) + u32(STRING) + u64(2) + text("a") + u64(length),
    ):
        path.write_bytes(header(0, 1) + text("k") + payload)
        os.truncate(path, path.stat().st_size + length)
        if more:
            with pytest.raises(FormatError, match="limit") as caught:
                GGUF.open(path)
            assert caught.value.field == "string length"
        else:
            with GGUF.open(path) as opened:
                assert len(opened.metadata) == 1


# ---- what is not a file, or changes


@posix
def test_pipes_devices_and_folders_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/random"), tmp_path):
        start = time.perf_counter()
        with pytest.raises(FormatError) as caught:
            GGUF.open(path)
        assert caught.value.field == "file"
        assert str(path) in str(caught.value)
        assert time.perf_counter() - start < 1


@posix
def test_missing_files_and_loops_are_os_errors(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match="loop"):
        GGUF.open(tmp_path / "loop")
    with pytest.raises(FileNotFoundError):
        GGUF.open(tmp_path / "none.gguf")


def test_empty_file(tmp_path):
    (tmp_path / "empty.gguf").touch()
    with pytest.raises(FormatError, match="magic"):
        GGUF.open(tmp_path / "empty.gguf")


@posix
def test_a_file_that_shrinks_while_open_is_refused(tmp_path):
    path = tmp_path / "model.gguf"
    tensors = [record("t", [32, 300], Q8_0)]
    value = entry("k", STRING, text("v" * 5_000))
    path.write_bytes(file(value, tensors=tensors, data=bytes(10_240)))
    opened = GGUF.open(path)
    assert opened["t"].raw.shape == (300, 34)
    os.truncate(path, 4_096)
    with pytest.raises(FormatError, match="had 15328 bytes when it was opened and now has 4096"):
        _ = opened["t"].raw
    with pytest.raises(FormatError, match="open it again"):
        _ = opened.metadata["k"]


def test_a_file_that_grows_while_open_is_read_as_it_was(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(file(tensors=[record()]))
    opened = GGUF.open(path)
    with path.open("ab") as out:
        out.write(bytes(5_000))
    assert opened["t"].raw.size == 32


@posix
def test_failed_opens_leave_no_descriptor(tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(BY_NAME["OFFSETS_HOLE"])
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        with pytest.raises(FormatError):
            GGUF.open(path)
    assert len(os.listdir("/dev/fd")) <= before
