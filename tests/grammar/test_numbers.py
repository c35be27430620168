"""Bounds of numbers, against exact arithmetic."""

from __future__ import annotations

import re
from decimal import Decimal

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llamapy.grammar.numbers import Bounds, written_numbers

ENDS = (
    st.none()
    | st.decimals(-2000, 2000, places=3)
    | st.sampled_from(
        [Decimal(text) for text in ("0", "1", "10", "-10", "0.001", "1e3", "9.99", "-100")]
    )
)
STEPS = st.sampled_from([(), (), (), ("2",), ("7",), ("0.5",), ("0.5", "3"), ("10",)])


def spelling(draw: st.DrawFn, near: list[Decimal]) -> str:
    """A number as it is written, often close to a bound."""
    value = draw(st.sampled_from(near)) + draw(st.sampled_from([0, 1, -1, Decimal("0.001")]))
    text = format(draw(st.sampled_from([value, value.normalize(), round(value)])), "f")
    if draw(st.booleans()) and "." in text:
        text += "0" * draw(st.integers(0, 3))
    return text + draw(st.sampled_from(["", "", "", "e0", "E+2", "e-1"]))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Bounds, bool, list[str]]:
    floor, ceiling = draw(ENDS), draw(ENDS)
    divisors = tuple(map(Decimal, draw(STEPS)))
    bounds = Bounds(
        floor,
        ceiling,
        draw(st.booleans()) and floor is not None,
        draw(st.booleans()) and ceiling is not None,
        divisors,
    )
    near = [end for end in (floor, ceiling) if end is not None] + [Decimal(0), Decimal(42)]
    return bounds, draw(st.booleans()), [spelling(draw, near) for _ in range(12)]


def fits(value: Decimal, bounds: Bounds) -> bool:
    above = (
        bounds.floor is None or value > bounds.floor or (value == bounds.floor and not bounds.above)
    )
    below = bounds.ceiling is None or value < bounds.ceiling
    below = below or (value == bounds.ceiling and not bounds.below)
    return above and below and not any(value % step for step in bounds.divisors)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_bounds_are_exact(case: tuple[Bounds, bool, list[str]]) -> None:
    bounds, is_whole, texts = case
    numbers = written_numbers(bounds, is_whole)
    sizes = [end for end in (bounds.floor, bounds.ceiling) if end]
    for text in texts:
        value = Decimal(text)
        assume(value or not text.startswith("-"))
        wanted = fits(value, bounds)
        if "e" in text.lower():
            # exponents are left out where sizes are bounded, and for whole numbers
            if text in numbers:
                assert wanted
                assert not is_whole
            elif not (sizes or bounds.divisors or is_whole or bounds.ceiling is not None):
                assert not wanted
            continue
        if is_whole:
            wanted = wanted and re.fullmatch(r"-?\d+", text) is not None
        assert (text in numbers) == wanted, text


def test_zeros_and_lengths_are_as_llama_cpp_has_them() -> None:
    none = written_numbers(Bounds(floor=Decimal(0)), True)
    assert "0" in none
    assert "-0" not in none
    assert "00" not in none
    assert "1" * 16 in none
    assert "1" * 17 not in none
    assert "-0" in written_numbers(Bounds(Decimal(-1), Decimal(1)), True)
    huge = written_numbers(Bounds(Decimal(10) ** 20, Decimal(10) ** 20), True)
    assert str(10**20) in huge
