"""Attention over the cells of a cache, and its three parts for those who look inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...ops import OPERATIONS
from .device import Call
from .memory import Buffer
from .signed import parameters
from .source import Program, writable

LANES = 128
FEW = 16  # tokens: of more, several share what is read of the cells
GROUPS = 512  # that keep a device busy: of fewer, several share a token's cells
SPLITS = 64  # at most
LARGEST = 512  # values of a head of which a group takes half as many rows


def attending(cells: str, key_size: int, value_size: int) -> tuple[Program, int]:
    """The program for cells of a format, and how many rows a group has.

    Sizes of heads are rounded up, so that few programs do. A row's query lies in local memory, and
    its result in registers: the larger a head, the fewer rows.
    """
    key_room, value_room = (-(-size // 64) * 64 for size in (key_size, value_size))
    is_large = max(key_room, value_room) >= LARGEST
    rows = 8 if is_large else 16
    rooms = (("KEY_ROOM", key_room), ("VALUE_ROOM", value_room))
    more_registers = (("AT_A_TIME", 384),) if is_large else ()
    constants = (*rooms, ("ROWS", rows), *more_registers)
    return Program("attention", (cells,), constants, LANES), rows


def attend(
    gpu: Any, out: Buffer, q: Buffer, k: Buffer, v: Buffer, *rest: Any, **params: Any
) -> Iterator[Call]:
    n, heads, key_size = q.shape
    kv_heads, value_size = v.shape[1:]
    program, rows = attending(k.format, key_size, value_size)
    heads_each = min(rows, heads // kv_heads)
    tokens_each = 1 if n <= FEW else rows // heads_each
    groups = -(-n // tokens_each) * kv_heads * -(-(heads // kv_heads) // heads_each)
    n_pages = rest[4].shape[1]
    # parts of the cells, each at least twice what a group takes at a time
    n_cells = n_pages * params["page"]
    splits = max(1, min(-(-GROUPS // max(1, groups)), n_cells // (2 * LANES), SPLITS))
    parts = gpu.scratch(4 * n * heads * splits * (value_size + 2)) if splits > 1 else None
    sizes = [n, heads, kv_heads, key_size, value_size, n_pages, tokens_each, heads_each, splits]
    args = [out, parts, q, k, v, *rest, *parameters(OPERATIONS["attend"], params), *sizes]
    yield gpu.call("attend", program, groups * splits, args)
    if splits > 1:
        yield gpu.call("fold", program, n * heads, [out, parts, value_size, splits])


# ---- its parts: a group of lanes for each head of a token


def scores(gpu: Any, out: Buffer, q: Buffer, k: Buffer, *rest: Any, page: int) -> Iterator[Call]:
    n, heads, size = q.shape
    sizes = [heads, k.shape[1], size, rest[1].shape[1]]
    program = Program("attention_parts", (k.format,))
    yield gpu.call("scores", program, n * heads, [out, q, k, *rest, page, *sizes])


def softmax(gpu: Any, out: Buffer, scores: Buffer, *rest: Any, **params: Any) -> Iterator[Call]:
    n, heads, _ = scores.shape
    operation = OPERATIONS["attention_softmax"]
    sizes = [heads, rest[4].shape[1]]
    args = [out, scores, *rest, *parameters(operation, params), *sizes]
    yield gpu.call("attention_softmax", "attention_parts", n * heads, args)


def mix(gpu: Any, out: Buffer, shares: Buffer, v: Buffer, *rest: Any, page: int) -> Iterator[Call]:
    n, heads, _ = shares.shape
    sizes = [heads, v.shape[1], v.shape[-1], rest[1].shape[1]]
    program = Program("attention_parts", (v.format,))
    yield gpu.call("attention_mix", program, n * heads, [out, shares, v, *rest, page, *sizes])


def both(kernel: Any, name: str, times: int) -> dict[str, Any]:
    """A kernel under its names: for plain numbers, and for packed cells."""
    return {name: kernel, **{".".join((name, *[each] * times)): kernel for each in writable()}}


KERNELS = {
    **both(attend, "attend", 2),
    **both(scores, "attention_scores", 1),
    **both(mix, "attention_mix", 1),
    "attention_softmax": softmax,
}
SIZES = {"F32": 80, "F16": 576, "BF16": 256}  # of heads; others are 128
PROGRAMS = [
    *(attending(name, *[SIZES.get(name, 128)] * 2)[0] for name in writable()),
    *(attending(name, 576, 512)[0] for name in ("F32", "Q8_0", "Q4_0")),
    *(Program("attention_parts", cells) for cells in ((), ("F16",), ("Q4_0",))),
]
