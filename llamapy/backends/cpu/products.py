"""Matrix products on a tape: packed weights, plain float32 ones, and those of experts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from . import eager
from .expert_matmul import (
    expert_matmul,
    expert_tiles,
    order_by_expert,
    order_bytes,
    rows_in_order,
    tile_rows,
    tiled_rows,
)
from .floats import FloatLayout, round_to_bf16
from .formats import LAYOUTS
from .layouts import ROWS
from .lookup import lookup as packed_lookup
from .packing import AnyLayout
from .quantize_activations import pieces, quantized_bytes, quantizer, tile_size
from .rows_matmul import plain_expert_matmul, plain_matmul
from .tape import Tape, address_of

# bytes of weights, times tokens, that are done in the time that sharing the work takes
NOT_SHARED = 32_768
# pieces for each thread, where there is much to do: none is to wait long for the last one
PIECES = 8
# so many rows for an expert, on the average, are multiplied in tiles
ROWS_FOR_TILES = 6


def share(tape: Tape, groups: int, n_bytes: int, tokens: int) -> int:
    """Groups of a piece: as many pieces for one thread as for another, each of some size."""
    if n_bytes * tokens < NOT_SHARED:
        return groups
    pieces = -(-n_bytes // eager.BYTES_PER_PIECE)
    if n_bytes * tokens > PIECES * tape.threads * eager.BYTES_PER_PIECE:
        pieces = max(pieces, PIECES * tape.threads)
    pieces = -(-pieces // tape.threads) * tape.threads
    return -(-groups // pieces)


# ---- float32 weights as they lie


def put_plain_matmul(tape: Tape, out: Any, x: Any, w: Any) -> None:
    rows, columns = w.shape
    count = x.size // columns if columns else 0
    groups = -(-rows // ROWS)
    grain = share(tape, groups, 4 * rows * columns, count)
    values = out, x, w, rows, columns, count
    tape.add(plain_matmul(4 if count >= 4 else 1), groups, grain, *values)


def put_batched_matmul(tape: Tape, out: Any, x: Any, w: Any) -> None:
    for each in range(len(x)):
        put_plain_matmul(tape, out[each], x[each], w[each])


# ---- packed weights


def activations(
    tape: Tape, layout: AnyLayout, x: Any, columns: int, precision: str | None, tile: int = 0
) -> eager.Activations:
    """Rows of float32 in the form that a layout multiplies; those that are ready are taken."""
    tokens = x.size // columns
    tile, kind = tile or tile_size(tokens), eager.form(layout, precision)
    if kind is eager.Floats:
        return eager.Floats(x.reshape(tokens, columns), tokens, columns, tile)
    key = address_of(x), tokens, columns, kind, tile
    if key in tape.ready:
        return tape.ready[key]
    if issubclass(kind, eager.Bytes):
        data = tape.lasting(quantized_bytes(tokens, columns, tile, kind.group))
        values = data, x, 4 * columns, tokens, columns
        tape.add(quantizer(tile, kind.group), pieces(tokens, columns, tile), 4, *values)
    else:
        padded = columns + columns % 2
        data = tape.lasting(2 * tokens * padded)[: 2 * tokens * padded].view(np.uint16)
        data = data.reshape(tokens, padded)
        tape.add(round_to_bf16, tokens, 16, data, 2 * padded, x, 4 * columns, columns)
    ready = kind(data, tokens, columns, tile)
    tape.ready[key] = ready
    return ready


def _matmul(name: str) -> Callable[..., None]:
    layout = LAYOUTS[name]

    def put(tape: Tape, out: Any, x: Any, w: Any, precision: str | None = None) -> None:
        rows, columns = w.lead[0], w.columns
        if not out.size:
            return
        ready = activations(tape, layout, x, columns, precision)
        weights, groups = w.packed, -(-rows // ROWS)
        grain = share(tape, groups, weights.size, ready.tokens)
        call = eager.bind(layout, weights, ready, out.reshape(ready.tokens, rows))
        tape.add(call.kernel, groups, grain, *call.values, weights=weights)

    return put


def _lookup(name: str) -> Callable[..., None]:
    layout = LAYOUTS[name]

    def put(tape: Tape, out: Any, ids: Any, w: Any) -> None:
        if len(w.lead) == 1:
            columns = w.columns
            grain = max(1, 16384 // columns)
            values = out, 4 * columns, w.packed, ids, columns
            tape.add(packed_lookup(layout), ids.size, grain, *values)
            return

        def from_cells() -> None:
            out[...] = w.quant.dequantize(w.copy()[ids])

        tape.call(from_cells)

    return put


# ---- experts


@dataclass(eq=False)
class Order:
    """Rows in the order of their experts, on the tape."""

    data: Any


def _order(tape: Tape, ids: Any, experts: int) -> Order:
    key = address_of(ids), ids.size, 1, Order, experts
    if key not in tape.ready:
        data = tape.lasting(order_bytes(ids.size, experts))
        tape.add(order_by_expert, 1, 1, data, ids, ids.size, experts)
        tape.ready[key] = Order(data)
    return tape.ready[key]


def _in_order(
    tape: Tape, x: Any, ready: eager.Activations, ids: Any, order: Order, experts: int
) -> eager.Activations:
    """The activations of each row, side by side for each expert."""
    shared, tile = ids.shape[1] // x.shape[1], tile_size(ids.size)
    # the order is part of the key: if ids are written anew, there is a new one
    key = address_of(x), ready.tokens, ready.columns, type(ready), order
    if key in tape.ready:
        return tape.ready[key]
    count, columns = ids.size, ready.columns
    if isinstance(ready, eager.Bytes):
        rows = tiled_rows(count, experts, tile)
        data = tape.lasting(quantized_bytes(rows, columns, tile, ready.group))
        values = order.data, ids, ready.data, shared, experts, columns
        tape.add(tile_rows(tile, ready.group), count, 4, data, *values)
    else:
        data = tape.lasting(4 * count * columns)
        tape.add(rows_in_order, count, 4, data, order.data, x, shared, experts, columns)
    tape.ready[key] = type(ready)(data, count, columns, tile)
    return tape.ready[key]


def _tile_bytes(x: eager.Activations, tile: int) -> int:
    """Bytes of so many tokens side by side."""
    if isinstance(x, eager.Bytes):
        return quantized_bytes(tile, x.columns, tile, x.group)
    return 4 * tile * x.columns


def _expert_matmul(name: str) -> Callable[..., None]:
    layout = LAYOUTS[name]

    def put(tape: Tape, out: Any, x: Any, w: Any, ids: Any, precision: str | None = None) -> None:
        if not out.size:
            return
        (experts, rows), columns, shared = w.lead, w.columns, ids.shape[1] // x.shape[1]
        # the weights of few tokens are read once: nothing is gained by pairs of BF16
        how = "float32" if issubclass(layout, FloatLayout) else precision
        ready = activations(tape, layout, x, columns, how, tile=1)
        weights, groups = w.packed, -(-rows // ROWS)
        group_bytes = weights.size // max(1, experts * groups)
        grain = max(1, eager.BYTES_PER_PIECE // max(1, group_bytes))
        if ids.size < ROWS_FOR_TILES * experts:
            x_row = _tile_bytes(ready, 1)
            values = ids, x_row, shared, ids.size, rows, columns, group_bytes
            kernel = expert_matmul(layout, how)
        else:
            order = _order(tape, ids, experts)
            ready = _in_order(tape, x, ready, ids, order, experts)
            x_row = 0 if isinstance(ready, eager.Bytes) else _tile_bytes(ready, 1)
            tile_bytes = _tile_bytes(ready, ready.tile)
            values = order.data, x_row, tile_bytes, experts, rows, columns, group_bytes
            kernel = expert_tiles(layout, how, ready.tile)
        tape.add(kernel, experts * groups, grain, out, weights, ready.data, *values)

    return put


def put_plain_expert_matmul(tape: Tape, out: Any, x: Any, w: Any, ids: Any) -> None:
    experts, rows, columns = w.shape
    if not out.size:
        return
    grain = max(1, eager.BYTES_PER_PIECE // max(1, 4 * ROWS * columns))
    values = ids.shape[1] // x.shape[1], ids.size, experts, rows, columns
    work = experts * -(-rows // ROWS)
    tape.add(plain_expert_matmul, work, grain, out, w, x, ids, *values)


def kernels(precision: str | None) -> dict[str, Callable[..., None]]:
    """What goes on a tape for each operation; `precision` "float32" rounds no activations."""
    found: dict[str, Callable[..., None]] = {
        "matmul": put_plain_matmul,
        "batched_matmul": put_batched_matmul,
        "expert_matmul": put_plain_expert_matmul,
    }
    for name in LAYOUTS:
        if name != "F32":
            found[f"matmul.{name}"] = partial(_matmul(name), precision=precision)
            found[f"expert_matmul.{name}"] = partial(_expert_matmul(name), precision=precision)
            found[f"lookup.{name}"] = _lookup(name)
    return found
