"""Merging adapters into files: what comes out computes as the model with the adapters does."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llamapy import gguf, quants
from llamapy.cli import main
from llamapy.engine.adapting.lora import Lora
from llamapy.engine.adapting.merge import merge
from llamapy.engine.load import load
from llamapy.errors import Cancelled, OutputError, QuantizationError, ShapeError, UnsupportedError
from llamapy.gguf import GGUF, Encoded
from llamapy.testing import tiny_model
from llamapy.testing.adapter import invented_lora
from llamapy.testing.model import nmse

NAMES = ("blk.*attn_*.weight", "blk.*ffn_*.weight", "token_embd.weight", "output.weight")
TOKENS = [3, 17, 5, 29, 11, 8]
SIZES = {"embedding": 64, "heads": 4, "feed_forward": 96}


def written(path, quant, **sizes):
    """A tiny model whose matrices are all in one format."""
    half = tiny_model(path.with_suffix(".half"), **{**SIZES, **sizes})
    kind = quants.get(quant)
    with GGUF.open(half) as file:
        tensors = {}
        for name, tensor in file.items():
            values = tensor.numpy()
            if values.ndim > 1 and "gate_inp" not in name:
                raw = kind.quantize(values.reshape(-1, values.shape[-1]))
                values = Encoded(kind, values.shape, raw)
            tensors[name] = values
        gguf.write(path, file.metadata, tensors)
    return path


def adapter_for(model, path, **options):
    with GGUF.open(model) as file:
        known = {name: tensor.shape for name, tensor in file.items()}
    return invented_lora(path, known, names=NAMES, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models of F32, dense and of experts, with two adapters each."""
    folder = tmp_path_factory.mktemp("merge")
    for name, more in (("dense", {}), ("experts", {"experts": 3})):
        written(folder / f"{name}.gguf", "F32", **more)
        adapter_for(folder / f"{name}.gguf", folder / f"{name}-1.gguf", rank=4)
        adapter_for(folder / f"{name}.gguf", folder / f"{name}-2.gguf", rank=32, seed=2)
    return folder


def logits(path, adapters=()):
    with load(path, device="numpy", kv_type="f32") as model:
        for adapter, scale in adapters:
            model.add_lora(adapter, scale)
        return model.forward(TOKENS, logits="all").logits


@pytest.mark.parametrize("name", ["dense", "experts"])
def test_merging_is_applying(folder, name):
    base, new = folder / f"{name}.gguf", folder / f"{name}-merged.gguf"
    adapters = [(folder / f"{name}-1.gguf", 0.6), (folder / f"{name}-2.gguf", -0.3)]
    done = merge(base, adapters, new)
    assert done.path == new
    assert set(done.changed.values()) == {"F32"}
    got, want = logits(new), logits(base, adapters)
    assert nmse(got, want) <= 1e-10
    assert nmse(got, logits(base)) > 1e-3
    with GGUF.open(base) as before, GGUF.open(new) as after:
        header = before.data_offset
        assert new.read_bytes()[:header] == base.read_bytes()[:header]
        assert len(done.changed) + done.n_kept == len(after)
        for kept in set(before) - set(done.changed):
            assert after[kept].encoded().tobytes() == before[kept].encoded().tobytes()


def test_matrices_keep_their_format_or_get_another(tmp_path):
    base = written(tmp_path / "base.gguf", "Q8_0")
    adapter = adapter_for(base, tmp_path / "a.gguf")
    new = tmp_path / "new.gguf"
    assert set(merge(base, [(adapter, 0.5)], new).changed.values()) == {"Q8_0"}
    assert nmse(logits(new), logits(base, [(adapter, 0.5)])) < 1e-3
    assert set(merge(base, [(adapter, 0.5)], new, outtype="f32").changed.values()) == {"F32"}
    assert nmse(logits(new), logits(base, [(adapter, 0.5)])) <= 1e-10
    with GGUF.open(new) as file:
        assert file.metadata["general.file_type"] == 0
        assert file["blk.0.attn_q.weight"].quant.name == "F32"


def test_models_in_several_files_and_other_byte_orders(folder, tmp_path):
    base = folder / "dense.gguf"
    adapters = [(adapter_for(base, tmp_path / "half.gguf", quant="F16"), 0.5)]
    merge(base, adapters, tmp_path / "one.gguf")
    with GGUF.open(base) as file:
        parts = gguf.write(tmp_path / "split.gguf", file.metadata, file, split_max_tensors=9)
        big = gguf.write(tmp_path / "big.gguf", file.metadata, file, byteorder="big")[0]
    assert len(parts) == 3
    merge(parts[0], adapters, tmp_path / "joined.gguf")
    assert (tmp_path / "joined.gguf").read_bytes() == (tmp_path / "one.gguf").read_bytes()
    merge(big, adapters, tmp_path / "turned.gguf")
    with GGUF.open(tmp_path / "one.gguf") as one, GGUF.open(tmp_path / "turned.gguf") as turned:
        assert turned.byteorder == "big"
        for name in one:
            assert (one[name].numpy() == turned[name].numpy()).all()


def test_a_scale_of_0_changes_nothing(folder):
    base, new = folder / "dense.gguf", folder / "same.gguf"
    done = merge(base, [(folder / "dense-1.gguf", 0)], new)
    assert not done.changed
    assert new.read_bytes() == base.read_bytes()


def test_what_stops_the_work_leaves_the_old_file(folder):
    base, new = folder / "dense.gguf", folder / "old.gguf"
    new.write_bytes(b"old")
    adapters = [(folder / "dense-1.gguf", 1.0)]

    def interrupt(done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(Cancelled):
        merge(base, adapters, new, progress=lambda done, total: done < total // 2)
    with pytest.raises(KeyboardInterrupt):
        merge(base, adapters, new, progress=interrupt)
    assert new.read_bytes() == b"old"
    assert not list(folder.glob("*.part")) + list(folder.glob(".*"))


def test_what_cannot_be_merged_is_refused_before_any_work(folder, tmp_path):
    base, adapter = folder / "dense.gguf", folder / "dense-1.gguf"
    new = tmp_path / "new.gguf"
    with pytest.raises(UnsupportedError, match="nothing to merge"):
        merge(base, [], new)
    with pytest.raises(OutputError, match="is a file that is read"):
        merge(base, [(adapter, 1.0)], adapter)
    with pytest.raises(UnsupportedError, match=r"ffn_gate\.weight, and the model does not have it"):
        merge(folder / "experts.gguf", [(adapter, 1.0)], new)
    with pytest.raises(UnsupportedError, match="scale of an adapter is inf"):
        merge(base, [(adapter, float("inf"))], new)
    other = written(tmp_path / "wide.gguf", "F32", embedding=256, feed_forward=256, layers=1)
    wide = adapter_for(other, tmp_path / "a.gguf")
    with pytest.raises(QuantizationError, match="cannot become IQ2_XXS without importance"):
        merge(other, [(wide, 1.0)], new, outtype="IQ2_XXS")
    with pytest.raises(ShapeError, match="made for"):
        merge(other, [(adapter, 1.0)], new)
    with Lora.open(adapter) as lora:
        tensors = {name: lora.file[name].numpy().copy() for name in lora.file}
        tensors["blk.0.attn_q.weight.lora_a"][1, 2] = np.nan
        gguf.write(tmp_path / "nan.gguf", lora.metadata, tensors)
    with pytest.raises(QuantizationError, match="lora_a has values that are not finite"):
        merge(base, [(tmp_path / "nan.gguf", 1.0)], new)
    assert not new.exists()


# ---- the command


def test_the_command_merges(folder, capsys):
    base, new = folder / "dense.gguf", folder / "command.gguf"
    one, two = folder / "dense-1.gguf", folder / "dense-2.gguf"
    words = ["lora", "merge", "-m", str(base), "--lora", f"{one}:0.6", "--lora", str(two)]
    assert main([*words, "-o", str(new)]) == 0
    assert "16 tensors changed (F32), 5 copied" in capsys.readouterr().out
    merge(base, [(one, 0.6), (two, 1.0)], folder / "same.gguf")
    assert new.read_bytes() == (folder / "same.gguf").read_bytes()


def test_the_command_tells_what_is_in_an_adapter(folder, capsys):
    assert main(["lora", "info", str(folder / "dense-1.gguf")]) == 0
    out = capsys.readouterr().out
    assert "blk.1.ffn_down.weight" in out
    assert "alpha" in out
    assert main(["lora", "info", "--json", str(folder / "dense-1.gguf")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ranks"] == [4]
    assert told["matrices"] == len(told["tensors"]) == 16
    assert main(["lora", "info", str(folder / "dense.gguf")]) == 2
    assert "general.type: it is 'model'" in capsys.readouterr().err
