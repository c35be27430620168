"""Every block format against llama.cpp: decode to the bit, encode to the byte."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llamapy import quants

DATA = Path(__file__).parent.parent / "data" / "quants"
INDEX = json.loads((DATA / "index.json").read_text())
MATRICES = ("gauss", "heavy", "edges", "smooth")


@pytest.fixture(scope="module")
def inputs():
    return dict(np.load(DATA / "inputs.npz"))


@pytest.fixture(params=list(INDEX["types"]))
def golden(request):
    return quants.get(request.param), dict(np.load(DATA / f"{request.param}.npz"))


def definition(quant, rows, importance=None):
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(quant.encode(rows, importance)).view(np.uint8)


def same_bits(got, wanted):
    """Equal to the bit, but for the payload of a NaN."""
    nan = np.isnan(wanted)
    assert np.array_equal(np.isnan(got), nan)
    assert np.array_equal(got.view(np.uint32)[~nan], wanted.view(np.uint32)[~nan])


def test_layout(golden):
    quant, _ = golden
    facts = INDEX["types"][quant.name]
    assert (quant.id, quant.block) == (facts["id"], facts["block"])
    assert quant.layout.itemsize == facts["bytes_per_block"]
    assert (quant.importance == "required") == facts["requires_imatrix"]


def test_decode_is_exact(golden):
    quant, data = golden
    cases = [(key[2:], f"q_{key[2:]}") for key in data if key.startswith("d_")]
    assert cases
    for name, raw in [*((f"d_{case}", raw) for case, raw in cases), ("rand_d", "rand_q")]:
        wanted = data[name].astype(np.float32)
        same_bits(quant.dequantize(data[raw], wanted.shape), wanted)
        with np.errstate(all="ignore"):
            blocks = data[raw].reshape(-1, quant.layout.itemsize).view(quant.layout)[:, 0]
            same_bits(quant.decode(blocks).reshape(wanted.shape), wanted)


@pytest.mark.parametrize("how", ["none", "imat"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_encode_is_exact(golden, inputs, matrix, how):
    quant, data = golden
    key = f"q_{matrix}_{how}"
    importance = inputs["imatrix"] if how == "imat" else None
    if key not in data:
        assert how == "none"
        assert quant.importance == "required"
        with pytest.raises(quants.base.QuantizationError, match="importance"):
            quant.quantize(inputs[matrix])
        return
    wanted = data[key]
    used = None if quant.importance == "ignored" else importance
    differ = definition(quant, inputs[matrix], used) != wanted
    assert not differ.any(), f"definition: {differ.sum()} of {differ.size} bytes differ"
    differ = quant.quantize(inputs[matrix], importance) != wanted
    assert not differ.any(), f"kernel: {differ.sum()} of {differ.size} bytes differ"
