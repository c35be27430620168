"""A matrix product as one call: the activations made ready once, then any number of matrices.

x = prepare(layout, x)                       # as bytes, as BF16, or as they are
out = multiply(layout, weights, rows, x)     # float32 [tokens, rows]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import threads as pool
from . import targets
from .floats import BF16, FloatLayout, paired_matmul, plain_matmul, round_to_bf16
from .kernel import Call
from .layouts import ROWS, UNIT, LargeLayout
from .matmul import float_matmul, matmul
from .packing import AnyLayout
from .quantize_activations import pieces, quantized_bytes, quantizer, tile_size

# a piece of weights stays in a core's own cache while all tokens pass over it
BYTES_PER_PIECE = 200_000


@dataclass(frozen=True)
class Activations:
    """Activations in a form that kernels multiply, and what it is made of."""

    data: NDArray[Any]
    tokens: int
    columns: int
    tile: int


class Bytes(Activations):
    """Whole numbers of a byte and a scale for every 32 columns."""

    group = UNIT


class LargeBytes(Bytes):
    """The same with a scale for every 256 columns."""

    group = LargeLayout.columns


class Halves(Activations):
    """BF16, each row filled up to an even count."""


class Floats(Activations):
    """float32, as they were."""


def form(layout: AnyLayout, precision: str | None = None) -> type[Activations]:
    """The form in which a layout's kernels take activations; `precision` "float32" rounds none."""
    if precision == "float32":
        return Floats
    if not issubclass(layout, FloatLayout):
        return LargeBytes if issubclass(layout, LargeLayout) else Bytes
    return Halves if layout is BF16 and targets.current().has_bf16_dot else Floats


def prepare(
    layout: AnyLayout,
    x: NDArray[np.float32],
    precision: str | None = None,
    threads: int | None = None,
) -> Activations:
    """Float32 [tokens, columns] in the form that this layout, and others alike, multiplies."""
    x = np.ascontiguousarray(x, np.float32)
    tokens, columns = x.shape
    tile, kind = tile_size(tokens), form(layout, precision)
    data: NDArray[Any] = x
    if issubclass(kind, Bytes):
        data = np.empty(quantized_bytes(tokens, columns, tile, kind.group), np.uint8)
        call = quantizer(tile, kind.group).bind(data, x, x.strides[0], tokens, columns)
        pool.run(call, pieces(tokens, columns, tile), grain=4, threads=threads)
    elif kind is Halves:
        data = np.empty((tokens, columns + columns % 2), np.uint16)
        call = round_to_bf16.bind(data, data.strides[0], x, x.strides[0], columns)
        pool.run(call, tokens, grain=16, threads=threads)
    return kind(data, tokens, columns, tile)


def bind(
    layout: AnyLayout, weights: NDArray[np.uint8], x: Activations, out: NDArray[np.float32]
) -> Call:
    """The product, to be called over the groups of 16 rows of `out`, float32 [tokens, rows]."""
    rows, streamed = out.shape[1], x.tokens <= x.tile
    sizes: tuple[int, ...] = (x.columns, rows, x.tokens)
    if isinstance(x, Bytes):
        assert not issubclass(layout, FloatLayout)
        worker = matmul(layout, x.tile, streamed=streamed)
        return worker.bind(out, 4 * rows, weights, x.data, *sizes)
    if isinstance(x, Halves):
        worker = paired_matmul(x.tile, streamed=streamed)
        sizes = (x.data.shape[1], rows, x.tokens)
    elif issubclass(layout, FloatLayout):
        worker = plain_matmul(layout, x.tile, streamed=streamed)
    else:
        worker = float_matmul(layout, x.tile, streamed=streamed)
    return worker.bind(out, 4 * rows, weights, x.data, x.data.strides[0], *sizes)


def multiply(
    layout: AnyLayout,
    weights: NDArray[np.uint8],
    rows: int,
    x: Activations,
    threads: int | None = None,
) -> NDArray[np.float32]:
    """x @ weights.T: float32 [tokens, rows]."""
    out = np.empty((x.tokens, rows), np.float32)
    groups = -(-rows // ROWS)
    grain = max(1, BYTES_PER_PIECE * groups // max(1, weights.size))
    pool.run(bind(layout, weights, x, out), groups, grain=grain, threads=threads)
    return out
