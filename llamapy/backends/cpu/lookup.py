# mypy: check-untyped-defs=False
"""Single rows out of packed weights, as float32: a table of embeddings needs no second copy.

    lookup(out, out_row, weights, ids, columns, first, last, thread)

writes out[k] = the row ids[k] (int32), for k from `first` to `last`. An id below 0 gives zeros.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic

from . import instructions as code
from .floats import FloatLayout
from .kernel import Kernel, device, kernel, once
from .layouts import ROWS, UNIT, Layout
from .matmul import block_parts
from .packing import AnyLayout
from .simd import load_i32, store_f32
from .tiles import row_decoder


def lookup(layout: AnyLayout) -> Kernel:
    """The kernel for a layout."""
    return _float_lookup(layout) if issubclass(layout, FloatLayout) else _block_lookup(layout)


@device
def _clear(out, columns):
    for column in range(columns):
        store_f32(out + 4 * column, 0.0)


@once
def _block_lookup(layout: type[Layout]) -> Kernel:
    head, scales, minimums = block_parts(layout)
    decode = row_decoder(layout)
    head_size, unit_size, codes_at = layout.head_size(), layout.unit_size(), layout.codes_at()
    units, block_size, block_columns = layout.units(), layout.block_size(), layout.columns

    @kernel(f"lookup_{layout.__name__}")
    def lookup(out, out_row, weights, ids, columns, first, last, thread):
        blocks = columns // block_columns
        for k in range(first, last):
            row, there = load_i32(ids + 4 * k), out + k * out_row
            if row < 0:
                _clear(there, columns)
                continue
            at = weights + row // ROWS * blocks * block_size
            for _ in range(blocks):
                d, m = head(at)
                at += head_size
                for _ in range(units):
                    each, low = scales(d, at), minimums(d, m, at)
                    decode(there, at + codes_at, each, low, row % ROWS)
                    at += unit_size
                    there += 4 * UNIT

    return lookup


@once
def _column_of(layout: type[FloatLayout], column: int) -> Any:
    """One number of a word: the column of this row."""

    @intrinsic
    def pick(typing, at, row):
        def lower(context, builder, sig, args):
            weights = layout.weights(builder, args[0], column)
            return builder.extract_element(weights, builder.trunc(args[1], code.I32))

        return types.float32(types.int64, types.int64), lower

    return pick


@once
def _float_lookup(layout: type[FloatLayout]) -> Kernel:
    word_bytes, per_word = layout.word_bytes, layout.word_bytes // layout.file_bytes
    first_of, last_of = _column_of(layout, 0), _column_of(layout, per_word - 1)

    @kernel(f"lookup_{layout.__name__}")
    def lookup(out, out_row, weights, ids, columns, first, last, thread):
        words = (columns + per_word - 1) // per_word
        for k in range(first, last):
            row, there = load_i32(ids + 4 * k), out + k * out_row
            if row < 0:
                _clear(there, columns)
                continue
            at = weights + row // ROWS * words * word_bytes * ROWS
            for column in range(0, columns, per_word):
                store_f32(there + 4 * column, first_of(at, row % ROWS))
                if column + 1 < columns and per_word > 1:
                    store_f32(there + 4 * column + 4, last_of(at, row % ROWS))
                at += word_bytes * ROWS

    return lookup
