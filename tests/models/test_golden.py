"""Every architecture against llama.cpp: logits, and each named value on the way to them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llamapy.models import architectures
from llamapy.testing.model import Fixture, check_model, nmse, results

# near 1e-12 in float32; where llama.cpp rounds to half precision (GELU's table), higher
LIMIT = 1e-9

# what GELU's table loses is not normed away in these; when ours is rounded as it, they come to 1e-8
GELU_FROM_A_TABLE = (
    "bloom",
    "codeshell",
    "falcon",
    "gpt2",
    "gptneox",
    "mpt",
    "phi2",
    "pockettts",
    "spark2_5",
    "starcoder",
    "starcoder2",
)
LIMITS = dict.fromkeys(GELU_FROM_A_TABLE, 2e-7) | {
    "gemma": 1e-8,
    "gemma4": 1e-7,
    "gemma3n": 1e-3,  # see DEEP
    "gemma-embedding": 1e-8,
    # embeddings that are normed last
    "bert": 1e-6,
    "jina-bert-v2": 1e-6,
    "jina-bert-v3": 1e-6,
    "modern-bert": 1e-6,
    "nomic-bert-moe": 1e-6,
}

# Scores of latent attention are in the hundreds, so last digits count where two are nearly equal:
# llama.cpp's own logits for single tokens differ by up to 2e-11 from those of the batch.
LARGE_SCORES = ("deepseek2", "mistral4")

# States in the thousands, each a product of what four matrices give. A single token's products are
# rounded elsewhere than a batch's; with products in float64, both agree to the last bit.
LARGE_STATES = ("mamba",)

# 22 layers that norm what they give, in which a last digit grows to 1e-4 of a value, and what
# GELU's table loses to a percent. test_per_layer.py compares more closely, with that table.
DEEP = ("gemma3n",)


def test_logits(golden):
    fixture, model = golden
    got = results(model, fixture.tokens)
    limit = LIMITS.get(fixture.metadata["general.architecture"], LIMIT)
    assert nmse(got[fixture.positions], fixture.logits) <= limit


def test_all_ways_of_computing_agree(golden):
    fixture, model = golden
    name = fixture.metadata["general.architecture"]
    tolerance = 1e-9 if name in (*LARGE_SCORES, *LARGE_STATES) else 1e-7 if name in DEEP else 1e-10
    check_model(model, fixture.tokens, tolerance=tolerance)


def test_every_architecture_has_a_fixture():
    from .conftest import FIXTURES, FOLDER

    found = {Fixture.read(FOLDER / f"{n}.json").metadata["general.architecture"] for n in FIXTURES}
    assert found == set(architectures())


# Names that mean another point there.
ELSEWHERE = {
    "apertus": {"Qcur", "Kcur"},  # neither normed nor turned
    "bitnet": {"ffn_gate", "ffn_up"},  # not yet scaled
    "chameleon": {  # of the last layer, only what the one output needs
        *("attn_out", "ffn_inp", "ffn_norm", "ffn_up", "ffn_gate", "ffn_swiglu", "ffn_out"),
        *("l_out", "result_norm", "result_output"),
    },
    "falcon-h1": {"Qcur", "Kcur", "ssm_in"},  # not yet turned; what the state space gets
    "gemma": {"kq"},  # as in gemma2
    "kimi-linear": {"attn_output"},  # what states say, not yet normed and projected
    "hunyuan-dense": {"Qcur", "Kcur"},  # not yet normed
    "hunyuan_vl": {"Qcur", "Kcur"},  # not yet normed
    "openelm": {"Qcur", "Vcur"},  # the queries bear the values' name
    "talkie": {"Qcur", "Kcur"},  # neither turned nor normed
    "bert": {"inp_embd", "kqv_out"},  # not yet normed; projected
    "eurobert": {"kqv_out"},  # projected
    "gemma-embedding": {"kq"},  # as in gemma2
    "jina-bert-v2": {"inp_embd", "kqv_out"},  # as in bert
    "jina-bert-v3": {"inp_embd", "kqv_out"},  # as in bert
    "modern-bert": {"inp_embd", "kqv_out"},  # as in bert
    "neo-bert": {"kqv_out"},  # projected
    "nomic-bert": {"inp_embd", "kqv_out"},  # as in bert
    "nomic-bert-moe": {"inp_embd", "kqv_out"},  # as in bert
    "t5": {"kqv_out", "Kcur", "Vcur"},  # projected; of what was encoded
    "t5encoder": {"kqv_out"},  # projected
    "deepseek2-ocr": {"Qcur", "Kcur"},  # not yet turned
    "hunyuan-moe": {"Qcur", "Kcur"},  # not yet normed
    "hy_v3": {"Qcur", "Kcur"},  # neither normed nor turned
    "phimoe": {"Qcur", "kq"},  # as in gemma2
    # without biases
    "gpt-oss": {"ffn_moe_logits", "ffn_moe_gate", "ffn_moe_up", "ffn_moe_down"},
    # named before their sigmoid; the experts' norm and result stand under other values' names
    "llama4": {"ffn_moe_probs", "ffn_moe_weights", "ffn_norm", "ffn_out"},
    "gemma2": {"kq"},  # queries are scaled before their scores are computed
    "jais2": {"Qcur", "Kcur"},  # not yet turned
    "jamba": {"ffn_inp"},  # before the layer's input is added
    "lfm2": {"Qcur", "Kcur"},  # neither normed nor turned
    "lfm2moe": {"Qcur", "Kcur"},  # neither normed nor turned
    "nemotron_h": {"l_out"},  # what is added to the layer's input
    "nemotron_h_moe": {"l_out"},  # what is added to the layer's input
    "nemotron": {"ffn_out"},  # with what is added to it
    "olmo2": {"ffn_out"},  # with what is added to it
    "phi2": {"kq"},  # as in gemma2
    "phi3": {"Qcur", "kq"},  # as in gemma2
    "gemma3": {"kq"},  # as in gemma2
    "plamo3": {"Qcur", "Kcur"},  # neither normed nor turned
}


def test_named_values(golden, golden_folder):
    """`ffn_out-3` in llama.cpp's trace is our `blk.3.ffn_out`: its shape, last row and size."""
    fixture, model = golden
    traces = golden_folder / "oracle" / "traces" / f"{fixture.name}.trace.json"
    rows = json.loads(traces.read_text())
    source = fixture.tokens if fixture.mode == "encode+decode" else None
    output = model.forward(fixture.tokens, encoder_tokens=source, logits="all", capture=("*",))
    seen = output.captured
    # a name may stand there several times, and with a bias as `ffn_up_b`: the last is the result
    theirs = {}
    for name, shape, last, rms in rows:
        base, _, layer = name.partition("-")
        path = f"blk.{layer}.{base}" if layer else base
        theirs[path] = theirs[path.removesuffix("_b")] = shape, last, rms
    skipped = ELSEWHERE.get(fixture.metadata["general.architecture"], set())
    compared = [name for name in seen if name in theirs and name.rpartition(".")[2] not in skipped]
    for name in compared:
        if name.endswith("ffn_down") and f"{name}.bias" in fixture.tensors:
            continue  # there, it is without its bias
        shape, last, rms = theirs[name]
        is_deep = fixture.metadata["general.architecture"] in DEEP
        _compare(name, seen[name], shape, last, rms, 5e-2 if is_deep else 2e-3)
    for layer in range(model.config.n_layer):
        names = ("attn_norm", "Qcur", "Kcur", "Vcur", "kq_soft_max", "kqv_out", "ffn_norm", "l_out")
        points = {f"blk.{layer}.{name}" for name in names if name not in skipped}
        assert points & theirs.keys() <= set(compared)
    ends = {"embd", "result_norm", "result_output"} - skipped
    assert ends & theirs.keys() <= set(compared)


def _compare(name, got, shape, last, rms, near):
    """Shapes are reversed there; attention's cells are padded to another length."""
    n_values = int(np.prod(shape))
    if not name.endswith(("kq", "kq_soft_max")):
        assert got.size == n_values, f"{name} is {list(got.shape)}, and {shape[::-1]} there"
    row = got.reshape(-1, got.shape[-1])[-1]
    if len(shape) == 2 and got.ndim == 3 and name.endswith("cur"):
        row = got.reshape(len(got), -1)[-1]
    n = min(len(last), len(row))
    scale = max(rms, 1e-6)
    np.testing.assert_allclose(row[:n], last[:n], rtol=near, atol=near * scale, err_msg=name)
    size = np.sqrt(np.square(got, dtype=np.float64).sum() / n_values)
    assert size == pytest.approx(rms, rel=near), f"{name}: the root mean square"
