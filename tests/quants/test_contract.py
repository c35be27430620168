"""Every block format keeps the public contract, and the contract catches what breaks it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from llamapy import quants
from llamapy.errors import QuantizationError
from llamapy.quants import base
from llamapy.quants.search import inverse_or_zero, round_away, to_int
from llamapy.testing import check_quant


@pytest.mark.parametrize("name", [quant.name for quant in quants.formats()])
def test_format_keeps_the_contract(name):
    check_quant(quants.get(name))


# ---- a format that this package does not know


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(base, "_by_id", dict(base._by_id))
    monkeypatch.setattr(base, "_by_name", dict(base._by_name))
    for table in ("_by_id", "_by_name"):
        monkeypatch.setattr(quants.registry, table, getattr(base, table))


def third_party(**changes):
    """20 weights of 8 bits that share a float32, with some attributes of the class changed."""

    class Twenty(quants.Quant):
        block = 20
        layout = np.dtype([("d", "<f4"), ("q", "i1", 20)])

        @staticmethod
        def decode(blocks):
            return blocks["d"][:, None] * blocks["q"]

        @staticmethod
        def encode(rows, importance=None):
            x = rows.reshape(len(rows), -1, 20)
            blocks = np.zeros(x.shape[:2], Twenty.layout)
            blocks["d"] = np.abs(x).max(-1) / np.float32(127)
            blocks["q"] = to_int(round_away(x * inverse_or_zero(blocks["d"])[..., None]))
            return blocks

    return type("Twenty", (Twenty,), changes, id=1020), Twenty


def kernels_of(quant, spoil_encode=None, spoil_decode=None):
    """Kernels that are the definitions, with a fault put into what they give."""

    def encode(rows, importance, out, first, last):
        blocks = quant.encode(rows[first:last], importance if len(importance) else None)
        out[first:last] = np.ascontiguousarray(blocks).view(np.uint8)
        if spoil_encode:
            spoil_encode(out, first, last)

    def decode(raw, out, first, last):
        out[first:last] = quant.decode(raw[first:last].view(quant.layout)[:, 0])
        if spoil_decode:
            spoil_decode(out, first, last)

    return classmethod(lambda cls: SimpleNamespace(encode=encode, decode=decode))


def test_third_party_format_keeps_the_contract():
    quant, _ = third_party()
    check_quant(quant)
    assert quants.get("twenty") is quant
    assert quants.get(1020) is quant


def test_third_party_kernels_keep_the_contract():
    quant, definition = third_party()
    quant.kernels = kernels_of(definition)
    check_quant(quant)


def flip_last_byte(out, first, last):
    out[last - 1, -1] ^= 1


def flip_in_later_pieces(out, first, last):
    if first:
        out[first, 0] ^= 1


def flip_in_batches(out, first, last):
    if last - first > 1:
        out[first, 0] ^= 1


def next_float(out, first, last):
    out[last - 1, 3] = np.nextafter(out[last - 1, 3], np.float32(np.inf))


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"spoil_encode": flip_last_byte}, "quantize without importance, and its definition: "),
        ({"spoil_encode": flip_in_later_pieces}, "in 3 threads: "),
        ({"spoil_encode": flip_in_batches}, "and its definition: "),
        ({"spoil_decode": next_float}, "dequantize of 1 blocks in 1 threads, and its definition"),
    ],
)
def test_faulty_kernel_is_caught(faults, message):
    quant, definition = third_party()
    quant.kernels = kernels_of(definition, **faults)
    with pytest.raises(AssertionError, match=message):
        check_quant(quant)


CHECKS = ("_check_finite", "_check_scales")
HOLES = np.dtype({"names": ["d", "q"], "formats": ["<f4", ("i1", 20)], "offsets": [0, 5]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": HOLES}, "leave no holes"),
        ({"layout": np.dtype([("d", ">f4"), ("q", "i1", 20)])}, "d is big-endian"),
        ({"layout": np.dtype([("d", "<f4"), ("q", "i1", 24)])}, "gives shape"),
        ({"block": 10}, "gives shape"),
        ({"importance": "maybe"}, "importance is 'maybe'"),
        ({"dot_with": "Q99"}, "dot_with names no block format"),
        ({"row_bytes": classmethod(lambda cls, n_cols: n_cols)}, "row_bytes says 60"),
        ({"bits_per_weight": classmethod(lambda cls: 8)}, "bits_per_weight says 8"),
        (
            {"decode": staticmethod(lambda b: (b["d"][:, None] * b["q"]).astype(np.float64))},
            "gives float64",
        ),
        (
            {"decode": staticmethod(lambda b: b["d"][:, None] * b["q"] + np.float32(len(b)))},
            "decode of 1 and 66 blocks, and of 67",
        ),
        (
            {"decode": staticmethod(lambda b: b["d"][:, None] * b["q"] + np.float32(0.01))},
            "a row of zeros to",
        ),
        ({"decode": staticmethod(lambda b: b["d"][:, None] * -b["q"])}, "squared error"),
        (
            {check: classmethod(lambda cls, rows, first: None) for check in CHECKS},
            "quantize of nan: is accepted",
        ),
        ({"_check_importance": classmethod(lambda cls, weights, n: None)}, "importance of shape"),
    ],
)
def test_broken_format_is_caught(changes, message):
    quant, _ = third_party(**changes)
    with pytest.raises(AssertionError, match=message):
        check_quant(quant)


def test_unregistered_class_is_caught():
    with pytest.raises(AssertionError, match="shared base"):
        check_quant(quants.Quant)
    with pytest.raises(AssertionError, match="not a Quant"):
        check_quant(dict)


def test_format_that_only_decodes_keeps_the_contract():
    quant, _ = third_party(encode=quants.Quant.encode)
    check_quant(quant)


# ---- values that formats cannot hold

SCALED = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "IQ4_NL", "IQ4_XS", "TQ1_0", "Q1_0"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["Q4_0", "MXFP4", "NVFP4", "TQ2_0"])
def test_what_is_not_finite_is_refused_by_its_place(name, value):
    rows = np.ones((5, 512), np.float32)
    rows[3, 77] = value
    with pytest.raises(QuantizationError, match=rf"{value} \(row 3, column 77\)"):
        quants.get(name).quantize(rows)


@pytest.mark.parametrize("name", SCALED)
def test_scale_that_runs_over_is_refused_by_its_row(name):
    rows = np.linspace(-1, 1, 3 * 512, dtype=np.float32).reshape(3, 512)
    rows[2] *= np.float32(1e12)
    with pytest.raises(QuantizationError, match=rf"row 2 .*too large for {name}"):
        quants.get(name).quantize(rows)


@pytest.mark.parametrize("name", SCALED)
def test_weights_too_small_for_a_scale_become_zero(name):
    rows = np.linspace(-1, 1, 512, dtype=np.float32)[None] * np.float32(1e-38)
    quant = quants.get(name)
    assert not quant.dequantize(quant.quantize(rows)).any()


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("F16", 65519.996, 65504),
        ("F16", 65520, np.inf),
        ("F16", -1e9, -np.inf),
        ("F16", 2.0**-25, 0),
        ("F16", 3 * 2.0**-26, 2.0**-24),
        ("BF16", 3.4028235e38, np.inf),
        ("BF16", 1 + 2.0**-8, 1),
        ("BF16", 1 + 3 * 2.0**-8, 1 + 2.0**-6),
        ("F64", 1e-40, 1e-40),
        ("I8", -128, -128),
        ("I16", 32767, 32767),
        ("I32", 2147483520, 2147483520),
        ("I64", -(2.0**63), -(2.0**63)),
    ],
)
def test_plain_numbers_round_as_they_must(name, value, wanted):
    quant = quants.get(name)
    for width in (1, 37):  # one lane of a kernel, and several with a rest
        row = np.full(width, value, np.float32)
        back = quant.dequantize(quant.quantize(row))
        assert np.array_equal(back, np.full(width, wanted, np.float32))


@pytest.mark.parametrize(
    ("name", "value"),
    [("I8", 0.5), ("I8", 128), ("I8", -129), ("I16", np.nan), ("I32", 2.0**31), ("I64", 2.0**63)],
)
def test_integers_refuse_what_they_cannot_hold(name, value):
    with pytest.raises(QuantizationError, match=f"{name} holds whole numbers from"):
        quants.get(name).quantize(np.array([[1, value]], np.float32))


def test_nan_survives_in_half_precision():
    quiet = {"F16": 0x7E00, "BF16": 0x7FE0}
    row = np.full(17, 0x7FA00001, np.uint32).view(np.float32)
    for name, bits in quiet.items():
        raw = quants.get(name).quantize(np.concatenate([row, -row]))
        assert set(raw.view("<u2").tolist()) == {bits, bits | 0x8000}
