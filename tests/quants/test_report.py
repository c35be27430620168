"""Error reports: the right numbers, by tensor, layer and kind, as table, CSV, JSON and picture."""

from __future__ import annotations

import csv
import io
import json
import math
import sys

import numpy as np
import pytest

from llamapy import quants
from llamapy.errors import Cancelled, QuantizationError, UnsupportedError

RNG = np.random.default_rng(7)


def matrix(n_rows=8, n_cols=256, scale=1.0):
    return (scale * RNG.standard_normal((n_rows, n_cols))).astype(np.float32)


@pytest.fixture(scope="module")
def tensors():
    return {
        "token_embd.weight": matrix(16),
        "blk.0.ffn_up.weight": matrix(),
        "blk.0.ffn_down.weight": matrix(scale=30),
        "blk.1.ffn_up.weight": matrix(),
        "blk.1.ffn_down.weight": matrix() ** 3,
        "blk.1.ffn_norm.weight": np.ones(256, np.float32),
        "blk.1.odd.weight": matrix(4, 96),
    }


@pytest.fixture(scope="module")
def result(tensors):
    return quants.report(tensors, ["Q4_K", "Q8_0"])


def test_numbers_are_those_of_the_definition(tensors, result):
    for error in result:
        rows = tensors[error.tensor].astype(np.float64)
        quant = quants.get(error.format)
        back = quant.dequantize(quant.quantize(tensors[error.tensor]))
        nmse = np.square(back - rows).sum() / np.square(rows).sum()
        assert error.nmse == pytest.approx(nmse, rel=1e-6)
        assert error.snr == pytest.approx(-10 * np.log10(nmse))
        assert error.max_error == pytest.approx(np.abs(back - rows).max(), rel=1e-6)
        assert error.bits == quant.bits_per_weight()


def test_vectors_are_left_out_and_what_does_not_fit_is_named(result):
    assert "blk.1.ffn_norm.weight" not in {error.tensor for error in result}
    assert list(result.skipped) == [("blk.1.odd.weight", "Q4_K")]
    assert "96" in result.skipped["blk.1.odd.weight", "Q4_K"]
    assert ("blk.1.odd.weight", "Q8_0") in {(e.tensor, e.format) for e in result}


def test_groups_add_up(tensors, result):
    by_layer = {(e.tensor, e.format): e for e in result.by_layer()}
    assert set(by_layer) == {
        (name, fmt) for name in ("token_embd.weight", "blk.0", "blk.1") for fmt in ("Q4_K", "Q8_0")
    }
    parts = [e for e in result if e.format == "Q4_K" and e.layer == 1]
    group = by_layer["blk.1", "Q4_K"]
    assert group.n_values == sum(e.n_values for e in parts)
    wanted = sum(e.squared_error for e in parts) / sum(e.squared_sum for e in parts)
    assert group.nmse == pytest.approx(wanted)
    assert group.max_error == max(e.max_error for e in parts)
    kinds = {e.tensor for e in result.by_kind()}
    assert {"blk.*.ffn_up.weight", "blk.*.ffn_down.weight", "token_embd.weight"} <= kinds
    assert [e.format for e in result.total()] == ["Q4_K", "Q8_0"]


def test_pieces_do_not_change_the_result(tensors, result, monkeypatch):
    monkeypatch.setattr(sys.modules["llamapy.quants.report"], "VALUES_AT_ONCE", 700)
    for a, b in zip(quants.report(tensors, ["Q4_K", "Q8_0"]), result, strict=True):
        assert a.nmse == pytest.approx(b.nmse, rel=1e-9)
        assert a.max_error == b.max_error


def test_importance_is_used_by_expert():
    stack = {"blk.0.ffn_up_exps.weight": matrix(6).reshape(3, 2, 256)}
    weights = np.abs(RNG.standard_normal((3, 256))).astype(np.float32) + 0.1
    found = quants.report(
        stack, ["Q4_K"], importance={"blk.0.ffn_up_exps.weight": weights}
    )[0]  # fmt: skip
    squared = 0.0
    for expert, rows in enumerate(stack["blk.0.ffn_up_exps.weight"]):
        quant = quants.get("Q4_K")
        back = quant.dequantize(quant.quantize(rows, weights[expert]))
        squared += float(np.square(back.astype(np.float64) - rows).sum())
    assert found.squared_error == pytest.approx(squared)
    with pytest.raises(QuantizationError, match="n_experts"):
        quants.report(
            stack, ["Q4_K"], importance={"blk.0.ffn_up_exps.weight": weights.repeat(2, 0)[:4]}
        )


def test_formats_that_need_importance_are_skipped_with_the_reason():
    result = quants.report({"a": matrix()}, ["IQ1_S", "Q8_0"])
    assert [e.format for e in result] == ["Q8_0"]
    assert "importance" in result.skipped["a", "IQ1_S"]


def test_zeros_and_exact_values_have_no_error():
    result = quants.report({"zeros": np.zeros((2, 32), np.float32)}, ["Q8_0", "F32"])
    assert [e.nmse for e in result] == [0, 0]
    assert all(math.isinf(e.snr) for e in result)
    assert all(row["snr"] is None for row in json.loads(result.to_json())["errors"])


def test_bad_values_and_requests_are_named():
    bad = matrix()
    bad[3, 5] = np.nan
    with pytest.raises(QuantizationError, match="the_tensor"):
        quants.report({"the_tensor": bad}, ["Q8_0"])
    with pytest.raises(UnsupportedError, match="block format"):
        quants.report({"a": matrix()}, [])
    with pytest.raises(UnsupportedError, match="Q9_Z"):
        quants.report({"a": matrix()}, ["Q9_Z"])


def test_progress_counts_every_weight_and_can_stop(tensors):
    seen = []
    quants.report(tensors, ["Q8_0"], progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    with pytest.raises(Cancelled):
        quants.report(tensors, ["Q8_0"], progress=lambda done, total: False)


def test_csv_json_and_tables_hold_the_same(result):
    table = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert [row["tensor"] for row in table] == [e.tensor for e in result]
    assert float(table[0]["nmse"]) == result[0].nmse
    data = json.loads(result.to_json())
    assert len(data["errors"]) == len(result)
    assert data["skipped"][0]["tensor"] == "blk.1.odd.weight"
    text, page = str(result), result._repr_html_()
    for error in result:
        assert error.tensor in text
        assert error.tensor in page
    assert "left out of Q4_K" in text


def test_names_are_escaped_in_html():
    page = quants.report({"<b>": matrix()}, ["Q8_0"])._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


def test_picture(result, tmp_path):
    pytest.importorskip("matplotlib")
    figure = result.plot()
    lines, heat = figure.axes[:2]
    assert [line.get_label().split()[0] for line in lines.lines] == ["Q4_K", "Q8_0"]
    assert [t.get_text() for t in heat.get_yticklabels()] == ["Q4_K", "Q8_0"]
    figure.savefig(tmp_path / "errors.png")
    assert (tmp_path / "errors.png").read_bytes()[:4] == b"\x89PNG"
