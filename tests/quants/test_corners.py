"""Blocks at the corners of the formats, with the bytes that llama.cpp gives for them."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import quants


def row(n, values=()):
    """A row of zeros but for values at places."""
    x = np.zeros(n, np.float32)
    for place, value in dict(values).items():
        x[place] = value
    return x


RAMP = np.arange(32, dtype=np.float32) - 8
SIGNED_ZEROS = np.copysign(np.zeros(32, np.float32), np.tile([-1, 1], 16))
BELOW_8 = np.nextafter(np.float32(8), np.float32(0))

CORNERS = {
    "zeros give minus zero as scale": ("Q4_0", row(32), None, "0080" + "88" * 16),
    "zeros under weights": ("Q4_0", row(32), 1, "0000" + "00" * 16),
    "of equally large values the first gives the sign": (
        "Q4_0",
        row(32, {3: -2, 9: 2}),
        None,
        "0034" + "88" * 3 + "80" + "88" * 5 + "8f" + "88" * 6,
    ),
    "the inverse scale is infinite": (
        "Q4_0",
        row(32, {0: 1e-39, 1: -1e-39}),
        None,
        "0080" + "00" * 16,
    ),
    "the inverse scale is infinite, and the least is meant": (
        "Q2_0",
        row(64, {0: 1e-39}),
        None,
        "0000" + "00" * 16,
    ),
    "minus zero comes first": ("Q4_1", SIGNED_ZEROS, None, "00000080" + "00" * 16),
    "plus zero comes first": ("Q4_1", -SIGNED_ZEROS, None, "00000000" + "00" * 16),
    "no weight counts": (
        "Q5_0",
        RAMP,
        0,
        "0000ff010000a6a5948383726161504f3f3e2d1d1c0b",
    ),
    "zero is an upper half": ("IQ4_NL", row(32), None, "0000" + "88" * 16),
    "the logarithm rounds up": ("MXFP4", row(32, {0: BELOW_8, 1: -1}), None, "800609" + "00" * 14),
    "the exponent wraps round": ("MXFP4", row(32, {0: 1e-38}), None, "fe" + "00" * 16),
    "the scale is too small by far": (
        "NVFP4",
        row(64, {0: 1e20, 17: -1e20, 33: 3000, 50: -7e-4}),
        None,
        "7e7e7e00" + "00" * 17 + "07" + "00" * 14,
    ),
    "the sum is rounded on its own": (
        "Q8_1",
        RAMP,
        None,
        "cc317e5bd4d9dfe4eaeff5fa00060b11161c21272c32373d42484d53585e63696e74797f",
    ),
}


@pytest.mark.parametrize("corner", CORNERS)
def test_corner(corner):
    name, x, weight, wanted = CORNERS[corner]
    importance = None if weight is None else np.full(len(x), weight, np.float32)
    quant = quants.get(name)
    assert quant.quantize(x, importance).tobytes().hex() == wanted
    with np.errstate(all="ignore"):
        assert quant.encode(x[None], importance).tobytes().hex() == wanted
