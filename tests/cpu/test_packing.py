"""Layouts lose nothing: what was packed comes back byte by byte."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import quants
from llamapy.backends.cpu import lookup, packing
from llamapy.backends.cpu.formats import FLOAT_LAYOUTS, LAYOUTS
from llamapy.errors import ShapeError

FEW = ["Q4_0", "Q4_K", "IQ2_XS", "BF16"]


def bytes_like(name: str, rows: int, columns: int) -> np.ndarray:
    row_bytes = quants.get(name).row_bytes(columns)
    return np.random.default_rng(1).integers(0, 256, (rows, row_bytes), dtype=np.uint8)


def test_every_format_has_a_layout():
    names = {quant.name for quant in quants.formats()}
    # Q8_1 and Q8_K hold activations, never weights; whole numbers and doubles are no weights
    extra = {"Q8_1", "Q8_K", "I8", "I16", "I32", "I64", "F64"}
    assert set(LAYOUTS) == names - extra


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_agrees_with_the_format(name):
    quant, layout = quants.get(name), LAYOUTS[name]
    assert layout.file_bytes == quant.layout.itemsize
    assert layout.columns == quant.block


def test_any_bytes_come_back(block_format):
    if block_format == "TQ1_0":
        pytest.skip("five digits do not fill a byte: some bytes mean the same as others")
    layout = LAYOUTS[block_format]
    columns = 2 * layout.columns
    raw = bytes_like(block_format, 19, columns)
    packed = packing.pack(layout, raw, columns)
    assert packed.size == layout.packed_bytes(19, columns)
    assert packed.ctypes.data % 64 == 0
    assert np.array_equal(packing.unpack(layout, packed, 19, columns), raw)


def test_encoded_weights_come_back(every_format, weights):
    given = weights(every_format)
    back = packing.unpack(given.layout, given.packed, len(given.raw), given.columns)
    assert np.array_equal(back, given.raw)


@pytest.mark.parametrize("columns", [1, 2, 15, 17, 40])
@pytest.mark.parametrize("name", FLOAT_LAYOUTS)
def test_plain_numbers_of_any_width_come_back(name, columns):
    raw = bytes_like(name, 17, columns)
    packed = packing.pack(LAYOUTS[name], raw, columns)
    assert np.array_equal(packing.unpack(LAYOUTS[name], packed, 17, columns), raw)


def test_odd_ternary_bytes_keep_their_weights():
    """Five digits do not fill a byte: some bytes that no encoder writes mean the same as others."""
    raw = bytes_like("TQ1_0", 3, 512)
    raw[:, 52:54] = raw[:, 106:108] = [0, 60]
    layout, quant = LAYOUTS["TQ1_0"], quants.get("TQ1_0")
    back = packing.unpack(layout, packing.pack(layout, raw, 512), 3, 512)
    assert np.array_equal(quant.dequantize(back), quant.dequantize(raw))


@pytest.mark.parametrize("name", FEW)
def test_rows_are_looked_up(name, weights):
    given = weights(name).rows(17)
    ids = np.array([16, 0, 5, -1], np.int32)
    out = np.full((4, given.columns), np.nan, np.float32)
    kernel = lookup.lookup(given.layout)
    kernel.bind(out, out.strides[0], given.packed, ids, given.columns)(0, 4)
    np.testing.assert_allclose(out[:3], given.decoded[ids[:3]], rtol=1e-6)
    assert not out[3].any()


def test_rows_of_another_size_are_refused():
    with pytest.raises(ShapeError, match="multiple of 32"):
        packing.pack(LAYOUTS["Q4_0"], np.zeros((2, 18), np.uint8), 33)
    with pytest.raises(ShapeError, match="pass what `pack` gave"):
        packing.unpack(LAYOUTS["Q4_0"], np.zeros(7, np.uint8), 1, 32)
