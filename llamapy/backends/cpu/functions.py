# mypy: check-untyped-defs=False
"""Exponentials and their like, sixteen at a time, to about the last bit of float32.

A NaN stays one, and what is too large becomes infinite, as in NumPy.
"""

from __future__ import annotations

from .kernel import device
from .simd import (
    absolute,
    bits_of,
    floats_of,
    fma,
    maximum,
    repeat_float,
    round_floats,
    round_ints,
    where,
)


@device
def _two_to(n):
    """2 ** n, for n from -126 to 127."""
    return floats_of((n + 127) << 23)


@device
def exponential(x):
    x = maximum(repeat_float(-105.0), x)
    x = where(x > 89.0, 89.0, x)
    n = round_floats(x * 1.4426950408889634)
    # ln 2 in two parts, of which the first has few digits: the difference is exact
    r = fma(n, repeat_float(-0.693359375), x)
    r = fma(n, repeat_float(2.12194440e-4), r)
    p = fma(repeat_float(1.9875691500e-4), r, repeat_float(1.3981999507e-3))
    p = fma(p, r, repeat_float(8.3334519073e-3))
    p = fma(p, r, repeat_float(4.1665795894e-2))
    p = fma(p, r, repeat_float(1.6666665459e-1))
    p = fma(p, r, repeat_float(5.0000001201e-1))
    p = fma(p, r * r, r + 1.0)
    # in two steps, for the smallest and the largest results are beyond a single power
    k = round_ints(n)
    half = ((k + 512) >> 1) - 256
    return p * _two_to(half) * _two_to(k - half)


@device
def sigmoid(x):
    return 1.0 / (1.0 + exponential(-x))


@device
def _with_sign_of(x, value):
    return floats_of(bits_of(value) | (bits_of(x) & -2147483648))


@device
def hyperbolic_tangent(x):
    size = absolute(x)
    e = exponential(size * -2.0)
    large = _with_sign_of(x, (1.0 - e) / (1.0 + e))
    # near 0 the difference above loses digits
    z = x * x
    p = fma(z, repeat_float(62.0 / 2835), repeat_float(-17.0 / 315))
    p = fma(p, z, repeat_float(2.0 / 15))
    p = fma(p, z, repeat_float(-1.0 / 3))
    return where(size < 0.3, fma(p * z, x, x), large)


@device
def error_function(x):
    """Abramowitz and Stegun 7.1.26: to 1.5e-7."""
    size = absolute(x)
    t = 1.0 / fma(size, repeat_float(0.3275911), repeat_float(1.0))
    p = fma(t, repeat_float(1.061405429), repeat_float(-1.453152027))
    p = fma(p, t, repeat_float(1.421413741))
    p = fma(p, t, repeat_float(-0.284496736))
    p = fma(p, t, repeat_float(0.254829592))
    return _with_sign_of(x, 1.0 - p * t * exponential(-(size * size)))


@device
def softened_step(x):
    """log(1 + exp(x)): the logarithm as a series in t / (2 + t), for t = exp(-|x|)."""
    t = exponential(-absolute(x))
    s = t / (t + 2.0)
    z = s * s
    p = fma(z, repeat_float(2.0 / 13), repeat_float(2.0 / 11))
    p = fma(p, z, repeat_float(2.0 / 9))
    p = fma(p, z, repeat_float(2.0 / 7))
    p = fma(p, z, repeat_float(2.0 / 5))
    p = fma(p, z, repeat_float(2.0 / 3))
    p = fma(p, z, repeat_float(2.0))
    return fma(p, s, maximum(repeat_float(0.0), x))


@device
def turned(angle):
    """The cosine and the sine of an angle in float32."""
    n = round_floats(angle * 0.6366197723675814)
    k = round_ints(n)
    # a right angle in three parts, so that nothing is lost up to large angles
    r = fma(n, repeat_float(-1.5703125), angle)
    r = fma(n, repeat_float(-4.837512969970703e-4), r)
    r = fma(n, repeat_float(-7.549789948768648e-8), r)
    z = r * r
    s = fma(z, repeat_float(-1.9515295891e-4), repeat_float(8.3321608736e-3))
    s = fma(s, z, repeat_float(-1.6666654611e-1))
    s = fma(s * z, r, r)
    c = fma(z, repeat_float(2.443315711809948e-5), repeat_float(-1.388731625493765e-3))
    c = fma(c, z, repeat_float(4.166664568298827e-2))
    c = fma(c * z, z, fma(z, repeat_float(-0.5), repeat_float(1.0)))
    odd = (k & 1) == 1
    cosine, sine = where(odd, s, c), where(odd, c, s)
    cosine = floats_of(bits_of(cosine) ^ (((k + 1) & 2) << 30))
    sine = floats_of(bits_of(sine) ^ ((k & 2) << 30))
    return cosine, sine
