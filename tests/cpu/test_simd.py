"""Each operation on registers against NumPy; `test_targets` runs this for other processors too."""

from __future__ import annotations

import numpy as np
import pytest
from numba.extending import intrinsic

from llamapy.backends.cpu import bits, dots, simd
from llamapy.backends.cpu.kernel import aligned_bytes, kernel


def number(kind, low, high, shape=16):
    return np.random.default_rng(0).integers(low, high, shape, endpoint=True).astype(kind)


@kernel("test_halves")
def to_floats_and_back(out, back, x, first, last, thread):
    for k in range(first, last):
        value = simd.widen(simd.load_halves16(x + 32 * k))
        simd.store(out + 64 * k, value)
        simd.store(back + 32 * k, simd.narrow(value))


def test_every_half():
    x = np.arange(65536, dtype=np.uint16).view(np.float16)
    out, back = np.empty(65536, np.float32), np.empty(65536, np.float16)
    to_floats_and_back.bind(out, back, x)(0, 4096)
    np.testing.assert_array_equal(out, x.astype(np.float32))
    np.testing.assert_array_equal(back, x)


@kernel("test_narrow")
def narrow_all(halves, upper, x, first, last, thread):
    for k in range(first, last):
        value = simd.load_floats16(x + 64 * k)
        simd.store(halves + 32 * k, simd.narrow(value))
        simd.store(upper + 32 * k, simd.narrow_bf16(value))


def test_floats_are_rounded_to_nearest_even():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2**32, 1 << 16, dtype=np.uint32).view(np.float32)
    x[:4096] = rng.standard_normal(4096) * 10.0 ** rng.integers(-9, 6, 4096)
    x[4096:4104] = [65519.996, 65520, -65520, np.inf, 2.0**-25, 3 * 2.0**-25, 1 + 2.0**-11, 0.0]
    halves, upper = np.empty(x.size, np.float16), np.empty(x.size, np.uint16)
    narrow_all.bind(halves, upper, x)(0, x.size // 16)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(halves, x.astype(np.float16))
        wide = (upper.astype(np.uint32) << 16).view(np.float32)
        number = np.abs(x) < 3.3e38  # larger ones round to infinity
        size = np.abs(x[number])
        # half of the distance to the next BF16 number: 8 bits of fraction
        step = np.spacing(size.astype(np.float32)) * np.float32(2**15)
        assert (np.abs(wide[number] - x[number]) <= step).all()
        assert np.isnan(wide[np.isnan(x)]).all()


@kernel("test_arithmetic")
def arithmetic(out, x, y, first, last, thread):
    a, b = simd.load_floats16(x), simd.load_floats16(y)
    simd.store(out, simd.fma(a, b, a - 2))
    simd.store(out + 64, simd.to_floats(simd.round_ints(a)))
    simd.store(out + 128, simd.maximum(a, b))
    simd.store(out + 192, simd.where(a < b, a, 0))
    simd.store(out + 256, simd.absolute(a) / (b * b + 1))
    simd.store_f32(out + 320, simd.reduce_add(a))
    simd.store_f32(out + 324, simd.reduce_max(a))


def test_arithmetic():
    x = np.float32([0.5, 1.5, -0.5, -1.5, 2.5, 127, -127, 3.49, *range(8)])
    y = np.float32([3, -1, 2.5, 0, 1e10, -7, 8, 9, *range(8, 0, -1)])
    out = np.zeros(82, np.float32)
    arithmetic.bind(out, x, y)(0, 1)
    np.testing.assert_allclose(out[:16], x.astype(float) * y + x - 2, rtol=3e-7)
    np.testing.assert_array_equal(out[16:32], np.rint(x))
    np.testing.assert_array_equal(out[32:48], np.maximum(x, y))
    np.testing.assert_array_equal(out[48:64], np.where(x < y, x, 0))
    np.testing.assert_allclose(out[64:80], np.abs(x) / (y * y + 1), rtol=3e-7)
    np.testing.assert_allclose(out[80:], [x.sum(), x.max()], rtol=1e-6)


@intrinsic
def dot4_any(typing, total, weights, activations):
    def lower(context, builder, sig, args):
        return dots.dot4(builder, *args, 255)

    return total(total, weights, activations), lower


@intrinsic
def dot4_seven(typing, total, weights, activations):
    def lower(context, builder, sig, args):
        return dots.dot4(builder, *args, 127)

    return total(total, weights, activations), lower


@kernel("test_dot4")
def dot4_both(out, u, v, s, first, last, thread):
    start = simd.load_ints16(out)
    q = simd.load_bytes64(s)
    simd.store(out, dot4_any(start, simd.load_bytes64(u), q))
    simd.store(out + 64, dot4_seven(start, simd.load_bytes64(v), q))


@pytest.mark.parametrize("extreme", [False, True])
def test_dot_products_of_bytes(extreme):
    u, v, s = number("u1", 0, 255, 64), number("u1", 0, 127, 64), number("i1", -127, 127, 64)
    if extreme:  # sums of two products that fill 16 bits and more
        u[:32], v[:32], s[:32] = 255, 127, 127
        u[32:], v[32:], s[32:] = 255, 127, -127
    out = number("i4", -1000, 1000, 32)
    wanted = [out[:16] + (weights.astype(int) * s).reshape(16, 4).sum(1) for weights in (u, v)]
    dot4_both.bind(out, u, v, s)(0, 1)
    np.testing.assert_array_equal(out.reshape(2, 16), wanted)


@intrinsic
def squares(typing, codes):
    def lower(context, builder, sig, args):
        return dots.look_up(builder, [k * k for k in range(16)], args[0])

    return codes(codes), lower


@kernel("test_look_up")
def look_up(out, codes, first, last, thread):
    simd.store(out, squares(simd.load_bytes64(codes)))


def test_tables():
    codes, out = number("u1", 0, 15, 64), np.empty(64, np.uint8)
    look_up.bind(out, codes)(0, 1)
    np.testing.assert_array_equal(out, codes.astype(int) ** 2)


@kernel("test_bits")
def spread_bits(out, back, x, first, last, thread):
    ones = bits.bits_to_bytes(simd.load_u32(x))
    pairs = bits.pairs_to_bytes(simd.load_i64(x))
    simd.store(out, ones)
    simd.store(out + 32, pairs)
    simd.store(out + 64, bits.thirds(simd.load_bytes32(x)))
    simd.store_u32(back, bits.bytes_to_bits(ones))
    simd.store_i64(back + 8, bits.bytes_to_pairs(pairs))


def test_packed_bits():
    x = number("u1", 0, 255, 32)
    out, back = np.empty((3, 32), np.uint8), np.zeros(16, np.uint8)
    spread_bits.bind(out, back, x)(0, 1)
    np.testing.assert_array_equal(out[0], np.unpackbits(x[:4], bitorder="little"))
    pairs = x[:8, None] >> np.uint8([0, 2, 4, 6]) & 3
    np.testing.assert_array_equal(out[1], pairs.reshape(-1))
    np.testing.assert_array_equal(out[2], x.astype(int) * 3 // 256)
    np.testing.assert_array_equal(back[:4], x[:4])
    np.testing.assert_array_equal(back[8:], x[:8])


@kernel("test_partial")
def copy_some(out, x, first, last, thread):
    simd.store_first(out, simd.load_first_floats(x, last), last)


@pytest.mark.parametrize("count", [0, 1, 7, 16])
def test_partial_registers(count):
    x, out = np.arange(1, 17, dtype=np.float32), np.zeros(16, np.float32)
    copy_some.bind(out, x)(0, count)
    np.testing.assert_array_equal(out, np.where(np.arange(16) < count, x, 0))


def test_memory_is_aligned():
    memory = aligned_bytes(1000)
    assert memory.ctypes.data % 64 == 0
    assert memory.size == 1000
    assert not memory.any()
