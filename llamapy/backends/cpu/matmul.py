# mypy: check-untyped-defs=False
"""Matrix products: weights in their layout, activations as bytes or as float32.

    kernel(out, out_row, weights, x, columns, rows, tokens, first, last, thread)

writes out[token, row], or adds to it, for the groups of 16 rows from `first` to `last`. Tokens of
`out` are `out_row` bytes apart.
"""

from __future__ import annotations

from typing import Any

from numba.core import types

from . import instructions as code
from .kernel import Kernel, device, kernel, once
from .large_blocks import large_product
from .layouts import ROWS, UNIT, LargeLayout, Layout
from .quantize_activations import group_bytes, unit_bytes
from .scales import block_parts
from .simd import AHEAD, copies, repeat_float, stream_ahead, word
from .tiles import tile_store, unit_product, unit_product_float

# A processor fetches on its own what is read from end to end, and is faster at it than when it is
# asked for every line. But it stops at the end of a page: a line of each unit keeps it going.
fetch_a_line = word(
    "fetch_ahead",
    types.void,
    (types.int64,),
    lambda b, at: code.prefetch(b, code.offset(b, at, AHEAD), 2),
)
fetch_nothing = word("fetch_nothing", types.void, (types.int64,), lambda b, at: None)


@once
def fetcher(unit_size: int, tokens: int, streamed: bool) -> Any:
    """fetch(at): ask for weights that will be read soon.

    With several tokens a unit takes so long that the processor does not see them read from end to
    end: it is asked for every line.
    """
    if not streamed:
        return fetch_nothing
    if tokens == 1:
        return fetch_a_line
    lines = -(-unit_size // 64)

    @device
    def fetch_unit(at):
        stream_ahead(at, lines)

    return fetch_unit


@once
def product(layout: type[Layout], tokens: int, streamed: bool) -> Any:
    """product(weights, x, columns): the sums of 16 rows for each token of a tile of bytes.

    `streamed` weights are fetched ahead of their use, and not kept: they are read once.
    """
    fetch = fetcher(layout.unit_size(), tokens, streamed)
    if issubclass(layout, LargeLayout):
        return large_product(layout, tokens, fetch)
    head, scales, minimums = block_parts(layout)
    multiply = unit_product(layout, tokens)
    head_size, unit_size, codes_at = layout.head_size(), layout.unit_size(), layout.codes_at()
    units, x_size, block_columns = layout.units(), unit_bytes(tokens), layout.columns

    @device
    def multiply_rows(weights, x, columns):
        sums = copies(repeat_float(0.0), tokens)
        for _ in range(columns // block_columns):
            d, m = head(weights)
            weights += head_size
            for _ in range(units):
                fetch(weights)
                each, low = scales(d, weights), minimums(d, m, weights)
                sums = multiply(sums, weights + codes_at, x, each, low)
                weights += unit_size
                x += x_size
        return sums

    return multiply_rows


@once
def float_product(layout: type[Layout], tokens: int, streamed: bool) -> Any:
    """product(weights, x, row_bytes, tokens, blocks): the same of float32 rows."""
    head, scales, minimums = block_parts(layout)
    multiply = unit_product_float(layout, tokens)
    head_size, unit_size, codes_at = layout.head_size(), layout.unit_size(), layout.codes_at()
    units = layout.units()
    fetch = fetcher(unit_size, tokens, streamed)

    @device
    def multiply_rows(weights, x, row_bytes, count, blocks):
        sums = copies(repeat_float(0.0), tokens)
        for _ in range(blocks):
            d, m = head(weights)
            weights += head_size
            for _ in range(units):
                fetch(weights)
                each, low = scales(d, weights), minimums(d, m, weights)
                sums = multiply(sums, weights + codes_at, x, row_bytes, count, each, low)
                weights += unit_size
                x += 4 * UNIT
        return sums

    return multiply_rows


@once
def matmul(layout: type[Layout], tile: int, *, streamed: bool, adds: bool = False) -> Kernel:
    """The product with activations as bytes in tiles of so many tokens."""
    multiply, put = product(layout, tile, streamed), tile_store(tile, adds)
    block_columns, block_size = layout.columns, layout.block_size()
    x_columns, x_size = layout.group(), group_bytes(layout.group(), tile)

    @kernel(_name("matmul", layout, tile, streamed, adds))
    def matmul(out, out_row, weights, x, columns, rows, tokens, first, last, thread):
        blocks = columns // block_columns
        for token in range(0, tokens, tile):
            for group in range(first, last):
                sums = multiply(weights + group * blocks * block_size, x, columns)
                put(out + 64 * group, out_row, sums, tokens - token, rows - ROWS * group)
            x += columns // x_columns * x_size
            out += tile * out_row

    return matmul


@once
def float_matmul(layout: type[Layout], tile: int, *, streamed: bool, adds: bool = False) -> Kernel:
    """The product with float32 activations, `x_row` bytes apart: nothing is rounded to bytes."""
    multiply, put = float_product(layout, tile, streamed), tile_store(tile, adds)
    block_columns, block_size = layout.columns, layout.block_size()

    @kernel(_name("float_matmul", layout, tile, streamed, adds))
    def matmul(out, out_row, weights, x, x_row, columns, rows, tokens, first, last, thread):
        blocks = columns // block_columns
        for token in range(0, tokens, tile):
            for group in range(first, last):
                at, count = weights + group * blocks * block_size, tokens - token
                sums = multiply(at, x, x_row, count, blocks)
                put(out + 64 * group, out_row, sums, count, rows - ROWS * group)
            x += tile * x_row
            out += tile * out_row

    return matmul


def _name(kind: str, layout: type[Layout], tile: int, streamed: bool, adds: bool) -> str:
    marks = [kind, layout.__name__, str(tile)]
    return "_".join(marks + ["streamed"] * streamed + ["adds"] * adds)
