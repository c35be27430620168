"""Whole models: the bytes that llama.cpp writes, or an error and nothing."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import llamapy
from llamapy import gguf, quants
from llamapy.engine.quantizing import encoding, file_types
from llamapy.engine.quantizing.quantize import quantize
from llamapy.errors import (
    Cancelled,
    FormatError,
    ImatrixError,
    OutputError,
    QuantizationError,
    ShapeError,
    UnsupportedError,
)
from llamapy.gguf import GGUF, ValueType, typed

GOLDEN = json.loads((Path(__file__).parent.parent.parent / "data/quantize/files.json").read_text())


def model(path, **tensors):
    """A small model without experts, with these tensors."""
    metadata = {"general.architecture": "llama", "llama.block_count": typed(ValueType.UINT32, 1)}
    gguf.write(path, metadata, tensors)
    return path


def rows(*shape):
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def formats(path):
    with GGUF.open(path) as file:
        return {name: tensor.quant.name for name, tensor in file.items()}


# ---- the bytes of llama.cpp


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("kind", ["plain", "imatrix"])
def test_files_are_those_of_llama_cpp(tmp_path, tiny, imatrix, name, kind):
    target = tmp_path / "out.gguf"
    given = imatrix if kind == "imatrix" else None
    if GOLDEN[name][kind] == "refused":
        with pytest.raises(ImatrixError, match="importance matrix is needed"):
            quantize(tiny, target, name, given)
        assert not target.exists()
        return
    plan = quantize(tiny, target, name, given)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == GOLDEN[name][kind]
    assert plan.formats() == formats(target)


def test_golden_figures_cover_all():
    assert sorted(GOLDEN) == sorted(file_types.names())
    assert sum(figure == "refused" for pair in GOLDEN.values() for figure in pair.values()) == 9


@pytest.mark.parametrize("threads", [1, 3])
def test_neither_threads_nor_pieces_change_the_bytes(tmp_path, tiny, imatrix, monkeypatch, threads):
    monkeypatch.setattr(encoding, "VALUES_A_PIECE", 256 * 3)  # 3 rows, and an expert has 4
    monkeypatch.setattr(encoding, "VALUES_A_CHUNK", 256 * 5)
    quantize(tiny, tmp_path / "out.gguf", "Q4_K_M", imatrix, threads=threads)
    found = hashlib.sha256((tmp_path / "out.gguf").read_bytes()).hexdigest()
    assert found == GOLDEN["Q4_K_M"]["imatrix"]


def test_experts_have_importance_of_their_own(tmp_path):
    source = model(tmp_path / "s.gguf", **{"blk.0.ffn_up_exps.weight": rows(2, 3, 256) ** 3})
    weights = np.abs(rows(2, 256)) + 0.01
    imatrix = {"blk.0.ffn_up_exps.weight": weights}
    quantize(source, tmp_path / "o.gguf", "Q4_K_S", imatrix, pure=True)
    with GGUF.open(tmp_path / "o.gguf") as file:
        raw = file["blk.0.ffn_up_exps.weight"].raw
        for expert in range(2):
            alone = quants.get("Q4_K").quantize(rows(2, 3, 256)[expert] ** 3, weights[expert])
            assert np.array_equal(raw[expert], alone)


def test_sizes_of_1_in_front_are_left_out(tmp_path):
    tensors = {"a.weight": rows(1, 1, 2, 256), "b.weight": rows(1, 256), "c.bias": rows(1)}
    plan = quantize(model(tmp_path / "s.gguf", **tensors), tmp_path / "t.gguf", "Q8_0")
    with GGUF.open(tmp_path / "t.gguf") as file:
        shapes = {name: tensor.shape for name, tensor in file.items()}
    assert shapes == {"a.weight": (2, 256), "b.weight": (256,), "c.bias": (1,)}
    assert [change.after.name for change in plan] == ["Q8_0", "F32", "F32"]


# ---- sources


@pytest.mark.parametrize("source", ["F16", "BF16", "Q8_0", "IQ4_NL"])
def test_a_source_may_be_any_format(tmp_path, tiny, source):
    middle, target = tmp_path / "m.gguf", tmp_path / "t.gguf"
    quantize(tiny, middle, source, pure=True)
    quantize(middle, target, "Q5_1", allow_requantize=True, pure=True)
    with GGUF.open(middle) as before, GGUF.open(target) as after:
        name = "blk.2.ffn_down_exps.weight"
        again = quants.get("Q5_1").quantize(quants.get(source).dequantize(before[name].raw))
        assert np.array_equal(after[name].raw, again)


def test_quantized_sources_need_leave(tmp_path, tiny):
    quantize(tiny, tmp_path / "m.gguf", "Q8_0")
    with pytest.raises(UnsupportedError, match="is Q8_0 already"):
        quantize(tmp_path / "m.gguf", tmp_path / "t.gguf", "Q4_0")
    quantize(tmp_path / "m.gguf", tmp_path / "t.gguf", "Q8_0")  # nothing is encoded twice


def test_a_big_endian_source(tmp_path, tiny):
    with GGUF.open(tiny) as file:
        gguf.write(tmp_path / "big.gguf", file.metadata, file, byteorder="big")
    quantize(tmp_path / "big.gguf", tmp_path / "t.gguf", "Q4_0")
    found = hashlib.sha256((tmp_path / "t.gguf").read_bytes()).hexdigest()
    assert found == GOLDEN["Q4_0"]["plain"]


def test_a_source_in_memory(tmp_path, tiny):
    with GGUF.open(tiny.read_bytes()) as file:
        quantize(file, tmp_path / "t.gguf", "Q8_0")
        assert file["output.weight"].raw.size  # whoever opened it closes it
    found = hashlib.sha256((tmp_path / "t.gguf").read_bytes()).hexdigest()
    assert found == GOLDEN["Q8_0"]["plain"]


def test_a_source_that_shrinks_is_refused(tmp_path, tiny):
    source, target = tmp_path / "s.gguf", tmp_path / "t.gguf"
    source.write_bytes(tiny.read_bytes())
    with GGUF.open(source) as file:
        with pytest.raises(FormatError, match="ends here"):
            quantize(file, target, "Q8_0", progress=lambda *_: os.truncate(source, 20_000))
        with pytest.raises(FormatError, match="now has 20000"):
            quantize(file, target, "Q8_0")
    assert not target.exists()


def test_split_sources_are_joined_or_kept(tmp_path, tiny):
    with GGUF.open(tiny) as file:
        parts = gguf.write(tmp_path / "s.gguf", file.metadata, file, split_max_tensors=20)
    assert len(parts) == 2
    quantize(parts[0], tmp_path / "joined.gguf", "Q5_0")
    found = hashlib.sha256((tmp_path / "joined.gguf").read_bytes()).hexdigest()
    assert found == GOLDEN["Q5_0"]["plain"]
    plan = quantize(parts[0], tmp_path / "kept.gguf", "Q5_0", keep_split=True)
    assert [path.name for path in plan.paths] == [
        "kept-00001-of-00002.gguf",
        "kept-00002-of-00002.gguf",
    ]
    with GGUF.open(plan.paths[0]) as kept, GGUF.open(tmp_path / "joined.gguf") as joined:
        assert kept.keys() == joined.keys()
        assert all(np.array_equal(kept[name].raw, joined[name].raw) for name in joined)
    assert sorted(path.name for path in tmp_path.iterdir() if "part" in path.name) == []


# ---- what the new file says


def test_metadata(tmp_path, tiny, imatrix):
    changes = {"llama.context_length": 128, "general.name": "new", "x.y": True, "x.z": 0.5}
    quantize(tiny, tmp_path / "t.gguf", "Q4_K_M", imatrix, override_metadata=changes)
    with GGUF.open(tmp_path / "t.gguf") as file, GGUF.open(tiny) as before:
        said = file.metadata
        assert said["general.quantization_version"] == 2
        assert said["general.file_type"] == 15
        assert {key: said[key] for key in changes} == changes
        assert said.type("llama.context_length") is ValueType.UINT32
        assert said.type("x.z") is ValueType.FLOAT32
        assert said["quantize.imatrix.file"] == "tiny.gguf"
        assert said["quantize.imatrix.dataset"] == "text.txt"
        assert said["quantize.imatrix.entries_count"] == len(imatrix)
        assert said["quantize.imatrix.chunks_count"] == 2
        assert said["llama.block_count"] == before.metadata["llama.block_count"]
        assert [*file][:3] == ["output.weight", "output_norm.weight", "token_embd.weight"]
    with pytest.raises(UnsupportedError, match="have no sign"):
        quantize(tiny, None, "Q8_0", override_metadata={"a": -1}, dry_run=True)


def test_layers_can_be_left_out(tmp_path, tiny, imatrix):
    plan = quantize(tiny, tmp_path / "t.gguf", "Q8_0", imatrix, prune_layers=[0, 2])
    with GGUF.open(tmp_path / "t.gguf") as file, GGUF.open(tiny) as before:
        assert file.metadata["llama.block_count"] == 2
        assert len(file) == len(plan) == 3 + 2 * 9
        raw = quants.get("Q8_0").quantize(before["blk.3.attn_q.weight"].numpy())
        assert np.array_equal(file["blk.1.attn_q.weight"].raw, raw)
    assert plan[-1].source.startswith("blk.3.")
    with pytest.raises(UnsupportedError, match="layer 4, but the model has layers 0 to 3"):
        quantize(tiny, tmp_path / "u.gguf", "Q8_0", prune_layers=[4])


def test_exceptions_by_name(tmp_path, tiny):
    asked = {"FFN_down": "q5_1", r"blk\.[01].*attn_": "f16", "down": "Q8_0"}
    quantize(tiny, tmp_path / "t.gguf", "Q4_0", tensor_types=asked, output_tensor_type="q8_0")
    found = formats(tmp_path / "t.gguf")
    assert found["blk.3.ffn_down_exps.weight"] == "Q5_1"
    assert found["blk.1.attn_q.weight"] == "F16"
    assert found["blk.2.attn_q.weight"] == "Q4_0"
    assert found["output.weight"] == "Q8_0"
    for wrong, said in (({"(": "Q8_0"}, "no regular expression"), ({"a": "Q9"}, "Q9")):
        with pytest.raises(UnsupportedError, match=said):
            quantize(tiny, tmp_path / "u.gguf", "Q4_0", tensor_types=wrong)


# ---- plans


def test_a_dry_run_tells_and_writes_nothing(tmp_path, tiny):
    before = sorted(tmp_path.iterdir())
    plan = quantize(tiny, None, "IQ2_XS", dry_run=True)
    assert sorted(tmp_path.iterdir()) == before
    assert plan.paths == ()
    assert "blk.0.attn_q.weight" in plan.lacks_importance
    assert "output.weight" not in plan.lacks_importance
    assert plan.formats()["blk.3.attn_output.weight"] == "IQ2_XS"
    assert plan.n_values == sum(change.n_values for change in plan)
    assert 2.3 < plan.bits_per_weight < 5
    with pytest.raises(OutputError, match="no name"):
        quantize(tiny, None, "Q8_0")


def test_a_plan_shows_itself(tmp_path, tiny):
    plan = quantize(tiny, tmp_path / "t.gguf", "Q8_0")
    assert plan.n_bytes == sum(change.n_bytes for change in plan)
    assert repr(plan).startswith("<Q8_0: 39 tensors, ")
    assert str(plan).splitlines()[1].split()[:5] == ["output.weight", "12", "x", "256", "F32"]
    html = plan._repr_html_()
    assert html.count("<tr>") == 40
    assert "blk.0.attn_q.weight" in html
    assert {name for name, *_ in plan.by_format()} == {"Q8_0", "F32"}
    assert llamapy.quantize is quantize


# ---- what is refused


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("target", ["Q4_0", "F16", "F32"])
def test_values_that_are_none_are_refused(tmp_path, value, target):
    tensor = rows(5, 64)
    tensor[3, 9] = value
    source = model(tmp_path / "s.gguf", **{"blk.0.attn_q.weight": tensor})
    with pytest.raises(QuantizationError, match=r"blk\.0\.attn_q\.weight holds -?(nan|inf).*3, 9"):
        quantize(source, tmp_path / "t.gguf", target)
    assert [path.name for path in tmp_path.iterdir()] == ["s.gguf"]


def test_a_vector_that_is_none_is_refused(tmp_path):
    tensors = {"output_norm.weight": np.array([1, np.nan], np.float32)}
    source = model(tmp_path / "s.gguf", **tensors)
    with pytest.raises(QuantizationError, match=r"output_norm\.weight holds nan at \(1,\)"):
        quantize(source, tmp_path / "t.gguf", "Q8_0")


def test_whole_numbers_are_copied(tmp_path):
    tensors = {"blk.0.table": np.arange(64, dtype=np.int32).reshape(2, 32)}
    source = model(tmp_path / "s.gguf", **tensors)
    assert formats(quantize(source, tmp_path / "t.gguf", "Q8_0").paths[0]) == {"blk.0.table": "I32"}
    tensors = {"blk.0.table.weight": tensors["blk.0.table"]}
    source = model(tmp_path / "s.gguf", **tensors)
    with pytest.raises(UnsupportedError, match="is I32, which is not converted"):
        quantize(source, tmp_path / "t.gguf", "Q8_0")


def test_importance_is_checked_before_the_work(tmp_path, tiny, imatrix):
    without = imatrix.select(exclude=["blk.3.attn_q"])
    with pytest.raises(ImatrixError, match=r"blk\.3\.attn_q\.weight.*has no entry"):
        quantize(tiny, tmp_path / "t.gguf", "IQ2_XS", without)
    wrong = {"blk.0.attn_q.weight": np.ones(8)}
    with pytest.raises(ImatrixError, match=r"blk\.0\.attn_q\.weight has 1 x 256 columns"):
        quantize(tiny, tmp_path / "t.gguf", "Q4_K_M", wrong)
    quantize(tiny, tmp_path / "t.gguf", "Q4_K_M", {"token_embd.weight": np.ones(8)})
    with pytest.raises(QuantizationError, match=r"token_embd\.weight cannot become IQ2_XXS"):
        quantize(tiny, tmp_path / "u.gguf", "Q4_0", imatrix, token_embedding_type="IQ2_XXS")
    assert not (tmp_path / "u.gguf").exists()


def test_rows_that_do_not_divide_are_refused_by_name(tmp_path):
    source = model(tmp_path / "s.gguf", **{"token_embd.weight": rows(4, 48)})
    with pytest.raises(ShapeError, match=r"token_embd\.weight has rows of 48"):
        quantize(source, tmp_path / "t.gguf", "Q4_0", token_embedding_type="Q4_0")
    quantize(source, tmp_path / "t.gguf", "Q4_0")
    assert formats(tmp_path / "t.gguf") == {"token_embd.weight": "F16"}


def test_the_source_is_never_the_target(tmp_path, tiny):
    source = tmp_path / "s.gguf"
    source.write_bytes(tiny.read_bytes())
    (tmp_path / "link.gguf").symlink_to(source)
    for target in (source, tmp_path / "link.gguf"):
        with pytest.raises(OutputError, match="is the file that is read"):
            quantize(source, target, "Q8_0")
    assert source.read_bytes() == tiny.read_bytes()
    with GGUF.open(tiny) as file:
        parts = gguf.write(tmp_path / "p.gguf", file.metadata, file, split_max_tensors=20)
    with pytest.raises(OutputError, match=r"p-00001-of-00002\.gguf is the file that is read"):
        quantize(parts[0], tmp_path / "p.gguf", "Q8_0", keep_split=True)


@pytest.mark.parametrize("name", ["NVFP4", "Q4_K_XL"])
def test_file_types_that_are_not_made(tmp_path, tiny, name):
    with pytest.raises(UnsupportedError, match=name):
        quantize(tiny, tmp_path / "t.gguf", name)


# ---- stopping


def test_progress_counts_and_cancels(tmp_path, tiny):
    told = []
    plan = quantize(tiny, tmp_path / "t.gguf", "Q8_0", progress=lambda *now: told.append(now))
    assert told[-1] == (plan.n_values, plan.n_values)
    assert told == sorted(told)
    (tmp_path / "t.gguf").write_bytes(b"older")
    with pytest.raises(Cancelled, match="stopped"):
        quantize(tiny, tmp_path / "t.gguf", "Q4_0", progress=lambda done, total: done < total / 2)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("t.gguf", b"older")]


def test_ctrl_c_leaves_nothing(tmp_path):
    """A process at work is interrupted as from the keyboard."""
    values = 1 << 25
    zeros = bytes(1 << 22)
    tensor = gguf.Stream("F16", (values // 4096, 4096), lambda: [zeros] * (values * 2 >> 22))
    source = model(tmp_path / "s.gguf", **{"blk.0.ffn_up.weight": tensor})
    words = ["quantize", str(source), str(tmp_path / "t.gguf"), "Q2_K", "1"]
    work = subprocess.Popen([sys.executable, "-m", "llamapy", *words], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len([*tmp_path.iterdir()]) == 1 and time.monotonic() < deadline:
        assert work.poll() is None
        time.sleep(0.005)
    work.send_signal(signal.SIGINT)
    _, said = work.communicate(timeout=60)
    assert work.returncode in (130, -signal.SIGINT), said
    assert [path.name for path in tmp_path.iterdir()] == ["s.gguf"]
