"""`llamapy quantize`: the words that llama-quantize knows."""

from __future__ import annotations

import pytest

from llamapy.cli import main
from llamapy.gguf import GGUF


def test_a_model_is_quantized(tmp_path, tiny, imatrix, capsys):
    imatrix.save(tmp_path / "i.gguf")
    target = tmp_path / "t.gguf"
    words = ["--imatrix", str(tmp_path / "i.gguf"), "--override-kv", "a.b=int:3"]
    words += ["--tensor-type", "attn_q=Q8_0", "--output-tensor-type", "q5_k"]
    assert main(["quantize", *words, str(tiny), str(target), "q4_k_m", "2"]) == 0
    out, err = capsys.readouterr()
    assert f"wrote {target}" in out
    assert "bits a weight" in out
    assert err == ""
    with GGUF.open(target) as file:
        assert file.metadata["a.b"] == 3
        assert file.metadata["quantize.imatrix.file"] == str(tmp_path / "i.gguf")
        assert file["blk.0.attn_q.weight"].quant.name == "Q8_0"
        assert file["output.weight"].quant.name == "Q5_K"


def test_it_names_the_file_itself(tmp_path, tiny, capsys):
    source = tmp_path / "s.gguf"
    source.write_bytes(tiny.read_bytes())
    (tmp_path / "types").write_text("attn_q=Q8_0\nattn_k=F16 ")
    words = ["--tensor-type-file", str(tmp_path / "types"), "--prune-layers", "0,3"]
    assert main(["quantize", *words, str(source), "Q5_0"]) == 0
    with GGUF.open(tmp_path / "ggml-model-Q5_0.gguf") as file:
        found = {name: tensor.quant.name for name, tensor in file.items()}
    assert found["blk.1.attn_k.weight"] == "F16"
    assert "blk.2.attn_k.weight" not in found
    capsys.readouterr()


def test_a_dry_run_lists_the_tensors(tmp_path, tiny, capsys):
    assert main(["quantize", "--dry-run", str(tiny), "IQ1_M"]) == 0
    out = capsys.readouterr().out
    assert "blk.3.ffn_gate_exps.weight" in out
    assert "tensors need an importance matrix" in out
    assert not (tiny.parent / "ggml-model-IQ1_M.gguf").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Q4_K_XL"], "no file type is called"),
        (["t.gguf", "Q4_K_XL"], "no file type is called"),
        (["Q8_0", "many"], "no number of threads"),
        (["Q8_0", "2", "3"], "one argument too many"),
        (["Q8_0", "--tensor-type", "Q8_0"], "no pair REGEX=FORMAT"),
        (["Q8_0", "--override-kv", "a=int:x"], "give KEY=TYPE:VALUE"),
        (["Q8_0", "--override-kv", "a=b"], "give KEY=TYPE:VALUE"),
        (["Q8_0", "--prune-layers", "1,x"], "give layer numbers"),
        (["Q8_0", "--include-weights", "a"], "go with --imatrix"),
        (["Q8_0", "--imatrix", "none.gguf"], "none.gguf"),
    ],
)
def test_it_refuses_in_a_sentence(tiny, capsys, words, said):
    assert main(["quantize", str(tiny), *words]) == 2
    assert said in capsys.readouterr().err
