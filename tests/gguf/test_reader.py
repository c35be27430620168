"""Reading: tensors without copies, from files and from memory, at little cost."""

from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llamapy import FormatError, UnsupportedError, quants
from llamapy.gguf import (
    GGUF,
    Encoded,
    TensorInfo,
    write,
)
from llamapy.testing.hostile import kinds
from llamapy.testing.raw_gguf import (
    ARRAY,
    STRING,
    UINT8,
    array,
    big_endian,
    entry,
    file,
    record,
    text,
)

GOLDEN = os.environ.get("LLAMAPY_GOLDEN")
posix = pytest.mark.skipif(os.name == "nt", reason="pipes, signals and /dev are POSIX")
ROWS = np.linspace(-2, 2, 192, dtype=np.float32).reshape(2, 3, 32)


@pytest.fixture
def model(tmp_path) -> Path:
    """A file with one tensor of each sort."""
    raw = quants.get("Q8_0").quantize(ROWS)
    halves = np.arange(6, dtype=np.uint16).reshape(2, 3) * 0x1111
    tensors = {
        "f32": ROWS,
        "f16": ROWS.astype(np.float16),
        "i32": np.arange(5, dtype=np.int32),
        "q8": Encoded("Q8_0", ROWS.shape, raw),
        "bf16": Encoded("BF16", (2, 3), halves),
        "empty": np.empty((0, 4), np.float32),
        "one": np.array(3, np.float32),
    }
    [path] = write(tmp_path / "model.gguf", {"general.architecture": "tiny"}, tensors)
    return path


# ---- tensors


def test_tensors(model):
    opened = GGUF.open(model)
    assert list(opened) == ["f32", "f16", "i32", "q8", "bf16", "empty", "one"]
    info = opened["q8"]
    assert isinstance(info, TensorInfo)
    assert (info.name, info.shape, info.quant.name) == ("q8", (2, 3, 32), "Q8_0")
    assert (info.n_values, info.n_bytes, info.raw.shape) == (192, 204, (2, 3, 34))
    assert info.blocks().shape == (2, 3, 1)
    assert np.array_equal(info.numpy(), quants.get("Q8_0").dequantize(info.raw, info.shape))
    assert opened["f32"].numpy().tolist() == ROWS.tolist()
    assert opened["f16"].numpy().dtype == np.float16
    assert opened["i32"].numpy().tolist() == [0, 1, 2, 3, 4]
    assert opened["bf16"].numpy().dtype == np.float32
    assert opened["bf16"].numpy().view(np.uint32)[0, 1] == 0x11110000
    assert opened["empty"].numpy().shape == (0, 4)
    assert opened["empty"].raw.shape == (0, 16)
    assert opened["one"].numpy().shape == ()
    assert opened["one"].numpy() == 3
    assert repr(info) == "<tensor 'q8': Q8_0 2 x 3 x 32, 204 bytes>"
    with pytest.raises(KeyError):
        opened["none"]
    with pytest.raises(AttributeError):
        info.name = "other"


def test_nothing_is_copied(model):
    data = np.frombuffer(model.read_bytes(), np.uint8)
    for given in (data, memoryview(data), data.tobytes()):
        opened = GGUF.open(given)
        base = np.frombuffer(given, np.uint8)
        assert np.shares_memory(opened["f32"].numpy(), base)
        assert np.shares_memory(opened["q8"].raw, base)
        assert not opened["q8"].raw.flags.writeable
    changing = bytearray(data.tobytes())
    opened = GGUF.open(changing)
    changing[opened["i32"].offset] = 9
    assert opened["i32"].numpy()[0] == 9


def test_sources_in_memory(model):
    data = model.read_bytes()
    with (
        model.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as whole,
    ):
        for given in (
            data,
            bytearray(data),
            memoryview(data),
            np.frombuffer(data, np.uint8),
            whole,
        ):
            opened = GGUF.open(given)
            assert opened.paths == ()
            assert opened.size == len(data)
            assert opened["f32"].numpy().sum() == ROWS.sum()
            del opened
        gc.collect()


@posix
def test_a_file_cut_while_it_is_opened(model, monkeypatch):
    def cut(*_, **__):
        raise ValueError("mmap length is greater than file size")

    monkeypatch.setattr("llamapy.gguf.source.mmap.mmap", cut)
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(FormatError, match="being cut"):
        GGUF.open(model)
    assert len(os.listdir("/dev/fd")) == before


def test_attributes(model):
    with GGUF.open(str(model)) as opened:
        assert opened.paths == (model,)
        assert opened.size == model.stat().st_size
        assert (opened.version, opened.byteorder, opened.alignment) == (3, "little", 32)
        assert opened.data_offset == opened["f32"].offset
        assert repr(opened) == (
            f"<GGUF 'model.gguf' v3, 7 tensors, 1 metadata values, {opened.size} bytes>"
        )
        assert opened != GGUF.open(model)
        assert len({opened}) == 1


@posix
def test_arrays_outlive_the_file(model):
    with GGUF.open(model) as opened:
        values = opened["f32"].numpy()
    model.unlink()
    gc.collect()
    assert values.tolist() == ROWS.tolist()
    with pytest.raises(UnsupportedError, match="is closed"):
        _ = opened["f32"].raw
    with pytest.raises(UnsupportedError, match="is closed"):
        _ = opened.metadata["general.architecture"]
    opened.close()
    assert next(iter(opened)) == "f32"


@posix
def test_closing_frees_the_descriptor(model):
    before = len(os.listdir("/dev/fd"))
    opened = [GGUF.open(model) for _ in range(10)]
    for one in opened[:5]:
        one.close()
    del opened, one
    gc.collect()
    assert len(os.listdir("/dev/fd")) == before


def test_big_endian_numbers():
    opened = GGUF.open(big_endian())
    assert opened.byteorder == "big"
    assert opened.metadata["n"] == 5
    assert opened.metadata["a"].tolist() == [1, 2, 3]
    assert opened.metadata["a"].dtype.isnative
    assert opened["t"].numpy().tolist() == [1] * 8
    assert opened["t"].numpy().dtype.isnative
    assert opened["t"].raw[:4].tolist() == [0x3F, 0x80, 0, 0]
    assert opened["t"].encoded()[:4].tolist() == [0, 0, 0x80, 0x3F]
    assert "big-endian" in repr(opened)


def test_blocks_in_big_endian_files(tmp_path):
    for name in ("Q8_0", "Q4_K", "BF16", "IQ4_XS", "Q6_K"):
        quant = quants.get(name)
        raw = np.random.default_rng(1).bytes(4 * quant.row_bytes(quant.block))
        shape = (4, quant.block)
        write(tmp_path / "b.gguf", {}, {"t": Encoded(name, shape, raw)}, byteorder="big")
        found = GGUF.open(tmp_path / "b.gguf")["t"]
        assert found.encoded().tobytes() == raw
        wanted = quant.dequantize(raw, shape)
        assert np.array_equal(found.numpy(), wanted, equal_nan=True)
        assert found.blocks().dtype == quant.layout.newbyteorder(">")


def test_a_format_of_ones_own_is_read():
    class MyFormat(quants.Quant, id=9_001):
        block, layout = 4, np.dtype([("w", "u1", 3)])

    try:
        opened = GGUF.open(file(tensors=[record("t", [8], 9_001)]))
        assert opened["t"].quant is MyFormat
        assert opened["t"].n_bytes == 6
    finally:
        from llamapy.quants import base

        del base._by_id[9_001], base._by_name["MyFormat"]


# ---- cost


MEASURE = """
import sys, time
from llamapy.gguf import GGUF
start = time.perf_counter()
f = GGUF.open(sys.argv[1])
seconds = time.perf_counter() - start
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))
print(len(f.metadata["tokenizer.ggml.tokens"]), seconds, peak, "numba" in sys.modules)
"""


@pytest.mark.skipif(not GOLDEN, reason="LLAMAPY_GOLDEN (a folder with vocabs/) is not set")
def test_a_quarter_million_tokens_cost_little():
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is measured through /proc")
    path = Path(GOLDEN) / "vocabs" / "ggml-vocab-gemma-4.gguf"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    told = subprocess.run(
        [sys.executable, "-c", MEASURE, path], capture_output=True, text=True, env=environment
    )
    tokens, seconds, megabytes, numba = told.stdout.split()
    assert int(tokens) == 262_144
    assert float(seconds) < 1.5  # 0.1 on a quiet machine
    assert int(megabytes) <= 100
    assert numba == "False"


def test_no_object_is_made_for_an_element():
    words = array(STRING, 50_000, text("abc") * 50_000)
    opened = GGUF.open(file(entry("k", ARRAY, words), entry("n", ARRAY, array(UINT8, 9, bytes(9)))))
    gc.collect()
    before = len(gc.get_objects())
    assert opened.metadata["k"][49_999] == "abc"
    assert opened.metadata["n"][8] == 0
    assert len(gc.get_objects()) - before < 100


def test_accepted_kinds_are_read_to_the_end():
    for kind in kinds():
        if not kind.verdict:
            opened = GGUF.open(kind.data)
            for tensor in opened.values():
                assert tensor.numpy().shape == tensor.shape
