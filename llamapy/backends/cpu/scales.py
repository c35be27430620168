# mypy: check-untyped-defs=False
"""What the codes of a block are to be scaled with, as float32."""

from __future__ import annotations

from typing import Any

from .kernel import device, once
from .layouts import ROWS, LargeLayout, Layout
from .simd import load_halves16, repeat_float, to_floats, widen


@once
def scaled_numbers(layout: type[LargeLayout]) -> tuple[Any, Any]:
    """The scales and minimums that a layout has as whole numbers, as float32."""
    number, low = layout.number, layout.low

    @device
    def scale(d, at, part):
        return d * to_floats(number(at, part))

    @device
    def minimum(d, m, at, part):
        return m * to_floats(low(at, part))

    return scale, minimum if low else layout.minimum


@once
def block_parts(layout: type[Layout]) -> tuple[Any, Any, Any]:
    """head(at), scales(d, at), minimums(d, m, at): what the codes of a block are to be scaled with.

    `head` gives the block's d and m, `scales` and `minimums` tuples with one register for each part
    of the unit at `at`.
    """
    scale, minimum, heads = layout.scale, layout.minimum, len(layout.heads)
    step = 1.0
    if issubclass(layout, LargeLayout):
        scale, minimum, step = *scaled_numbers(layout), layout.step

    @device
    def no_head(at):
        return repeat_float(1.0), repeat_float(0.0)

    @device
    def one_head(at):
        d = widen(load_halves16(at)) * step
        return d, d

    @device
    def two_heads(at):
        return widen(load_halves16(at)), widen(load_halves16(at + 2 * ROWS))

    @device
    def one_scale(d, at):
        return (scale(d, at, 0),)

    @device
    def two_scales(d, at):
        return scale(d, at, 0), scale(d, at, 1)

    @device
    def one_minimum(d, m, at):
        return (minimum(d, m, at, 0),)

    @device
    def two_minimums(d, m, at):
        return minimum(d, m, at, 0), minimum(d, m, at, 1)

    head = (no_head, one_head, two_heads)[heads]
    if layout.parts == 1:
        return head, one_scale, one_minimum
    return head, two_scales, two_minimums
