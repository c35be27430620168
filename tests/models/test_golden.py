"""Every architecture against llama.cpp: logits, and each named value on the way to them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llamapy.models import architectures
from llamapy.testing.model import Fixture, check_model, nmse

# near 1e-12 in float32; where llama.cpp rounds to half precision (GELU's table), higher
LIMIT = 1e-9


def test_logits(golden):
    fixture, model = golden
    got = model.forward(fixture.tokens, logits="all").logits
    assert nmse(got[fixture.positions], fixture.logits) <= LIMIT


def test_all_ways_of_computing_agree(golden):
    fixture, model = golden
    check_model(model, fixture.tokens)


def test_every_architecture_has_a_fixture():
    from .conftest import FIXTURES, FOLDER

    found = {Fixture.read(FOLDER / f"{n}.json").metadata["general.architecture"] for n in FIXTURES}
    assert found == set(architectures())


# Names that mean another point: there, `ffn_down` is without its bias, and Gemma 2's queries are
# scaled before their scores are computed.
ELSEWHERE = {"llama": {"ffn_down"}, "gemma2": {"kq"}}


def test_named_values(golden, golden_folder):
    """`ffn_out-3` in llama.cpp's trace is our `blk.3.ffn_out`: its shape, last row and size."""
    fixture, model = golden
    traces = golden_folder / "oracle" / "traces" / f"{fixture.name}.trace.json"
    rows = json.loads(traces.read_text())
    seen = model.forward(fixture.tokens, logits="all", capture=("*",)).captured
    # a name may stand there several times, and with a bias as `ffn_up_b`: the last is the result
    theirs = {}
    for name, shape, last, rms in rows:
        base, _, layer = name.partition("-")
        path = f"blk.{layer}.{base}" if layer else base
        theirs[path] = theirs[path.removesuffix("_b")] = shape, last, rms
    skipped = ELSEWHERE.get(fixture.metadata["general.architecture"], set())
    compared = [name for name in seen if name in theirs and name.rpartition(".")[2] not in skipped]
    for name in compared:
        shape, last, rms = theirs[name]
        _compare(name, seen[name], shape, last, rms)
    for layer in range(model.config.n_layer):
        names = ("attn_norm", "Qcur", "Kcur", "Vcur", "kq_soft_max", "kqv_out", "ffn_norm", "l_out")
        assert {f"blk.{layer}.{name}" for name in names} <= set(compared)
    assert {"embd", "result_norm", "result_output"} <= set(compared)


def _compare(name, got, shape, last, rms):
    """Shapes are reversed there; attention's cells are padded to another length."""
    n_values = int(np.prod(shape))
    if not name.endswith(("kq", "kq_soft_max")):
        assert got.size == n_values, f"{name} is {list(got.shape)}, and {shape[::-1]} there"
    row = got.reshape(-1, got.shape[-1])[-1]
    if len(shape) == 2 and got.ndim == 3 and name.endswith("cur"):
        row = got.reshape(len(got), -1)[-1]
    n = min(len(last), len(row))
    scale = max(rms, 1e-6)
    np.testing.assert_allclose(row[:n], last[:n], rtol=2e-3, atol=2e-3 * scale, err_msg=name)
    size = np.sqrt(np.square(got, dtype=np.float64).sum() / n_values)
    assert size == pytest.approx(rms, rel=2e-3), f"{name}: the root mean square"
