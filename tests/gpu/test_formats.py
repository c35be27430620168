"""Block formats: what kernels read from the bytes is what the definitions say, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import ops, quants
from llamapy.backends.gpu.codebooks import BOOKS
from llamapy.backends.gpu.source import Program, has_levels, readable, text, writable
from llamapy.tensor import Tensor

NUMBERS = {"F64", "I8", "I16", "I32", "I64"}  # no weights
COLUMNS = 512
# one of every kind in the default run
KINDS = ("F16", "IQ1_M", "IQ3_S", "MXFP4", "Q3_K", "Q4_K", "Q8_0")
EACH = [
    name if name in KINDS else pytest.param(name, marks=pytest.mark.slow) for name in readable()
]


def test_all_formats_can_be_read():
    assert {quant.name for quant in quants.formats()} - NUMBERS == set(readable())


def any_rows(quant, n_rows):
    """Rows of any bytes: all levels, points and signs, and scales of any size."""
    random = np.random.default_rng(quant.id)
    return random.integers(0, 256, (n_rows, quant.row_bytes(COLUMNS)), np.uint8)


@pytest.mark.parametrize("name", EACH)
def test_rows_are_decoded_exactly(name, gpu):
    quant = quants.get(name)
    raw = any_rows(quant, 24)
    rows = Tensor.packed(raw, (24, COLUMNS), quant, gpu)
    ids = np.arange(24, dtype=np.int32)[::-1].copy()
    got = ops.lookup(Tensor.of(ids, gpu), rows).numpy()
    with np.errstate(all="ignore"):
        want = quant.dequantize(raw)[ids]
    finite = np.isfinite(want)  # scales that are no numbers are refused when a file is written
    assert finite.mean() > 0.8
    np.testing.assert_array_equal(got[finite], want[finite])


def unlike_each_other(n_rows):
    """Rows of all sizes, of one value, of values that are alike, and of zeros of both signs."""
    random = np.random.default_rng(5)
    rows = random.standard_normal((n_rows, 1, 64), np.float32)
    rows *= np.float32(10) ** random.uniform(-4, 4, (n_rows, 1, 1)).astype(np.float32)
    rows[::7] = np.round(rows[::7])
    rows[1::9] = rows[1::9, :, :1]
    rows[2::11] *= np.where(random.random((1, 64)) < 0.5, np.float32(0), np.float32(-1))
    rows[3] = 0
    rows[4] = -0.0
    return rows


@pytest.mark.parametrize(
    "name",
    [n if n in ("F16", "Q8_0") else pytest.param(n, marks=pytest.mark.slow) for n in writable()],
)
def test_cells_are_written_exactly(name, gpu):
    quant, rows = quants.get(name), unlike_each_other(200)
    cells = Tensor(gpu.empty(rows.shape, quant), rows.shape, quant, gpu)
    slots = np.arange(200, dtype=np.int32)[::-1].copy()
    ops.store(Tensor.of(rows, gpu), cells, Tensor.of(slots, gpu))
    want = quant.quantize(rows[slots])
    np.testing.assert_array_equal(gpu.get(cells.buffer), want.reshape(200, 1, -1))


def test_only_formats_that_need_a_codebook_have_one():
    for name in readable():
        assert ("CODEBOOK[" in text(Program("matvec", (name,)), "cuda")) == (name in BOOKS)


def test_two_formats_do_not_share_words():
    both = text(Program("attention", ("Q8_0", "Q4_0")), "cuda")
    for word in ("decode32", "levels32", "dot32"):
        assert f" {word}(" in both
        assert f" second_{word}(" in both
    assert "#define second_HAS_LOW" in both
    assert "#define HAS_LOW" not in both


def test_plain_numbers_are_not_rounded():
    assert {name for name in readable() if not has_levels(name)} == {"F32", "F16", "BF16"}
