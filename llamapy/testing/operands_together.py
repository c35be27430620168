"""Operands that must fit together: a cache and who looks into it, experts and who goes to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..ops import Op
from ..quants.base import Quant
from .operands import BLOCK, Case, Packed, Random, makes, packed

OPTIONAL = ("sinks", "slopes", "bias")
# beside all, or none, of the optional operands
PARAMETERS: tuple[dict[str, Any], ...] = (
    {},
    {"window": 7, "far": 20},
    {"softcap": 2.0},
    {"with": ("sinks",)},
    {"with": ("slopes",), "far": 40},
    {"with": ("mask",)},
    {"with": OPTIONAL, "window": 1},
)


@makes(
    "attend",
    "attention_scores",
    "attention_softmax",
    "attention_mix",
    "bias_around",
    "bias_behind",
)
def attention(operation: Op, random: Random, formats: list[type[Quant]]) -> Iterator[Case]:
    """Sequences of different lengths on scattered pages, some of them shared; padding rows."""
    names = [operand.name for operand in operation.signature.operands]
    kinds = [quant for quant in formats if 32 % quant.block == 0]  # heads are multiples of 32
    for n, lengths, heads, groups, d in (
        (1, [5], 4, 4, 32),
        (1, [37], 8, 2, 64),
        (5, [17, 3, 24], 6, 2, 32),
        (9, [1, 40], 4, 1, 64),
        (3, [0, 9], 2, 2, 32),
        (0, [4], 2, 1, 32),
        (17, [90], 5, 1, 96),
    ):
        for turn, quant in enumerate((None, *kinds)):
            # a format makes no difference to what is done with scores: two of these do
            few = [PARAMETERS[(n + turn + k) % len(PARAMETERS)] for k in (0, 3)]
            for tried in few if quant else PARAMETERS:
                page = int(random.choice([4, 8, 32]))
                parts = _attention(random, n, lengths, heads, groups, d, page, quant)
                kept = tried.get("with", ())
                if "mask" in kept:
                    hidden = random.random(parts["bias"].shape) < 0.5
                    parts["bias"] = np.where(hidden, np.float32(-np.inf), np.float32(0))
                    kept = ("bias",)
                parts |= {name: None for name in OPTIONAL if name not in kept}
                params = {"page": page, "scale": d**-0.5, **tried}
                params = {k: v for k, v in params.items() if k in operation.params}
                says = f"{n} tokens, lengths {lengths}, {heads} heads on {groups} of {d}, "
                says += f"{quant.name if quant else 'float32'}, with {tried.get('with', 'nothing')}"
                yield Case(says, [parts[name] for name in names], params)


def _attention(
    random: Random,
    n: int,
    lengths: Sequence[int],
    heads: int,
    groups: int,
    d: int,
    page: int,
    quant: type[Quant] | None,
) -> dict[str, Any]:
    n_pages = max(1, -(-max(lengths) // page))
    total = 2 + len(lengths) * n_pages
    pages = random.permutation(total)[: len(lengths) * n_pages].reshape(len(lengths), n_pages)
    pages[:, 0] = pages[0, 0]  # a shared beginning
    n_cells = total * page
    cell_positions = random.integers(0, 40, n_cells)
    cell_positions[random.random(n_cells) < 0.1] = -1
    sequences = random.integers(-1, len(lengths), n)
    positions = random.integers(0, 40, n)
    c = n_pages * page
    keys = random.standard_normal((n_cells, groups, d), np.float32)
    values = random.standard_normal((n_cells, groups, d), np.float32)
    scores = random.standard_normal((n, heads, c), np.float32)
    shares = np.exp(scores)
    return {
        "q": random.standard_normal((n, heads, d), np.float32),
        "w": random.standard_normal((32, heads), np.float32),  # scores of distances
        "k": packed(quant.name, keys.shape) if quant else keys,
        "v": packed(quant.name, values.shape) if quant else values,
        "scores": scores,
        "shares": shares / shares.sum(-1, keepdims=True),
        "positions": positions.astype(np.int32),
        "reach": np.where(random.random(n) < 0.8, positions, 100).astype(np.int32),
        "sequences": sequences.astype(np.int32),
        "cell_positions": cell_positions.astype(np.int32),
        "pages": pages.astype(np.int32),
        "lengths": np.asarray(lengths, np.int32),
        "sinks": random.standard_normal(heads, np.float32),
        "slopes": random.random(heads, np.float32),
        "bias": random.standard_normal((n, heads, c), np.float32),
    }


@makes("expert_matmul")
def expert_matmul(operation: Op, random: Random, formats: list[type[Quant]]) -> Iterator[Case]:
    """One row for all experts of a token, or one for each; experts that nobody goes to."""
    for n, j, c in ((0, 1, 2), (1, 1, 2), (7, 1, 3), (7, 3, 3)):
        for quant in (None, *formats):
            w = random.standard_normal((6, 5, BLOCK), np.float32)
            x = random.standard_normal((n, j, BLOCK), np.float32)
            ids = random.integers(0, 5, (n, c)).astype(np.int32)
            says = f"n = {n}, j = {j}, c = {c}, {quant.name if quant else 'float32'}"
            yield Case(says, [x, packed(quant.name, w.shape) if quant else w, ids], {})


@makes("copy_cells")
def copy_cells(operation: Op, random: Random, formats: list[type[Quant]]) -> Iterator[Case]:
    """From some cells to others: the definition encodes again, which must give the same bytes."""
    shape = (19, 2, BLOCK)
    kinds = [quant for quant in formats if _is_stable(packed(quant.name, shape))]
    for m in (0, 1, 9):
        for quant in (None, *kinds):
            cells = random.standard_normal(shape, np.float32)
            ids = random.permutation(19).astype(np.int32)
            says = f"{m} of 19 cells, {quant.name if quant else 'float32'}"
            args = [packed(quant.name, cells.shape) if quant else cells, ids[:m], ids[m : 2 * m]]
            yield Case(says, args, {})


def _is_stable(rows: Packed) -> bool:
    values = rows.quant.dequantize(rows.raw, rows.shape)
    return np.array_equal(rows.quant.quantize(values), rows.raw)
