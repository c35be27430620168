"""Attention over what the cache remembers.

A cache is a table of cells, in pages of equal size. A token belongs to a sequence, and a sequence
has pages: row s of `pages` lists them, and its first `lengths[s]` cells are in use. Cells store
positions, and masks compare positions, never places, so that pages may be shared and cells freed:

    a token sees a cell if  position - window < cell's position <= reach

The reach is the kind of mask: the token's own position (causal), the end of a prefix, or beyond
all (full). A cell that is free has position -1 and is never seen. A token without a sequence fills
up a batch: its sequence is -1, it sees nothing, and its result is zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._op import fused, op
from .see import see


@op("q[n,h,d], positions:int32[n] -> [n,h,d]")
def grow_far(q: Any, positions: Any, *, strength: float, period: float, offset: float = 0.0) -> Any:
    """Queries grow with the logarithm of how many periods lie behind them: sharper attention."""
    passed = np.floor((positions.astype(np.float32) + np.float32(offset)) / np.float32(period))
    factors = np.log(passed.astype(np.float64) + 1) * strength + 1
    return q * factors.astype(np.float32)[:, None, None]


@op("new[n,g,d], cells:rows[s,g,d], slots<s[n] -> cells")
def store(new: Any, cells: Any, slots: Any) -> None:
    """Put each token's key or value into its cell; a slot of -1 stores nothing."""
    kept = slots >= 0
    cells[slots[kept]] = new[kept]


@op("new[n,g,d], cells:rows[s,g,d], slots<s[n] -> cells")
def store_keys(new: Any, cells: Any, slots: Any) -> None:
    """Put each token's key into its cell: a device may lay keys out so that attention is fast."""
    kept = slots >= 0
    cells[slots[kept]] = new[kept]


@op("new[n,g,d], cells:rows[s,g,d], slots<s[n] -> cells")
def store_values(new: Any, cells: Any, slots: Any) -> None:
    """Put each token's value into its cell: a device may lay values out otherwise than keys."""
    kept = slots >= 0
    cells[slots[kept]] = new[kept]


@op("new:int32[n], cell_positions:int32[s], slots<s[n] -> cell_positions")
def place(new: Any, cell_positions: Any, slots: Any) -> None:
    """Give each token's cell its position; a slot of -1 is no cell."""
    kept = slots >= 0
    cell_positions[slots[kept]] = new[kept]


@op("positions:int32[n] -> int32[n]")
def chunk_ends(positions: Any, *, length: int) -> Any:
    """The last position of the chunk that each position is in.

    What a window as long as a chunk shows from there is the chunk.
    """
    return positions // length * length + length - 1


@op("cells:rows[s,g,d], sources<s[m], targets<s[m] -> cells")
def copy_cells(cells: Any, sources: Any, targets: Any) -> None:
    cells[targets] = cells[sources]


@op(
    "q[n,h,d], k:rows[s,g,d], sequences:int32[n], pages:int32[r,p], lengths:int32[r] "
    "-> [n,h,p*page]"
)
def attention_scores(q: Any, k: Any, sequences: Any, pages: Any, lengths: Any, *, page: int) -> Any:
    """Each query with the keys of its sequence, in the order of its pages; h/g heads share one."""
    n, h, d = q.shape
    out = np.zeros((n, h, pages.shape[1] * page), np.float32)
    for rows, cells in _sequences(sequences, pages, lengths, page):
        keys = k[cells]  # [c, g, d]
        groups = keys.shape[1]
        heads = q[rows].reshape(len(rows), groups, h // groups, d)  # [t, g, h/g, d]
        scores = np.einsum("tgrd,cgd->tgrc", heads, keys, optimize=True)
        out[rows, :, : len(cells)] = scores.reshape(len(rows), h, len(cells))
    return out


@op(
    "scores[n,h,c], positions:int32[n], reach:int32[n], sequences:int32[n], "
    "cell_positions:int32[s], pages:int32[r,p], lengths:int32[r], "
    "sinks[h]?, slopes[h]?, bias[n,h,c]? -> [n,h,c]"
)
def attention_softmax(
    scores: Any,
    positions: Any,
    reach: Any,
    sequences: Any,
    cell_positions: Any,
    pages: Any,
    lengths: Any,
    sinks: Any,
    slopes: Any,
    bias: Any,
    *,
    page: int,
    scale: float,
    window: int | None = None,
    softcap: float | None = None,
) -> Any:
    """How much of each cell every head of a token takes: at least 0, and of sum 1.

    A sink is one more score that takes its share and gives nothing. Slopes are ALiBi's: the
    further away, the smaller the score.
    """
    scores = scores * np.float32(scale)
    if softcap is not None:
        scores = np.float32(softcap) * np.tanh(scores / np.float32(softcap))
    out = np.zeros_like(scores)
    for rows, cells in _sequences(sequences, pages, lengths, page):
        at, here = cell_positions[cells], positions[rows, None]  # [c] and [t, 1]
        seen = (at >= 0) & (at <= reach[rows, None])
        if window is not None:
            seen &= at > here - window
        s = scores[rows, :, : len(cells)]  # [t, h, c]
        if bias is not None:
            s = s + bias[rows, :, : len(cells)]
        if slopes is not None:
            s = s - slopes[:, None] * np.abs(here - at).astype(np.float32)[:, None, :]
        s = np.where(seen[:, None, :], s, -np.inf)
        sink = np.full((1, len(s[0]), 1), -np.inf) if sinks is None else sinks[None, :, None]
        top = np.maximum(s.max(-1, keepdims=True, initial=-np.inf), sink)
        top = np.where(np.isfinite(top), top, 0)  # a token that sees nothing takes nothing
        e = np.exp(s - top)
        total = e.sum(-1, keepdims=True) + np.exp(sink - top)
        out[rows, :, : len(cells)] = e / np.where(total > 0, total, 1)
    return out


@op(
    "shares[n,h,c], v:rows[s,g,e], sequences:int32[n], pages:int32[r,p], lengths:int32[r] "
    "-> [n,h,e]"
)
def attention_mix(
    shares: Any, v: Any, sequences: Any, pages: Any, lengths: Any, *, page: int
) -> Any:
    """The values of the cells, mixed by each head's shares."""
    n, h, _ = shares.shape
    out = np.zeros((n, h, v.shape[-1]), np.float32)
    for rows, cells in _sequences(sequences, pages, lengths, page):
        values = v[cells]  # [c, g, e]
        groups = values.shape[1]
        heads = shares[rows, :, : len(cells)].reshape(len(rows), groups, h // groups, len(cells))
        mixed = np.einsum("tgrc,cge->tgre", heads, values, optimize=True)
        out[rows] = mixed.reshape(len(rows), h, values.shape[2])
    return out


@fused(
    "q[n,h,d], k:rows[s,g,d], v:rows[s,g,e], positions:int32[n], reach:int32[n], "
    "sequences:int32[n], cell_positions:int32[s], pages:int32[r,p], lengths:int32[r], "
    "sinks[h]?, slopes[h]?, bias[n,h,c]? -> [n,h,e]",
    sees=("kq", "kq_soft_max"),
)
def attend(
    q: Any,
    k: Any,
    v: Any,
    positions: Any,
    reach: Any,
    sequences: Any,
    cell_positions: Any,
    pages: Any,
    lengths: Any,
    sinks: Any,
    slopes: Any,
    bias: Any,
    *,
    page: int,
    scale: float,
    window: int | None = None,
    softcap: float | None = None,
) -> Any:
    """Each head of a token takes a weighted mean of the values that it may see."""
    scores = attention_scores(q, k, sequences, pages, lengths, page=page)
    shares = attention_softmax(
        see("kq", scores),
        positions,
        reach,
        sequences,
        cell_positions,
        pages,
        lengths,
        sinks,
        slopes,
        bias,
        page=page,
        scale=scale,
        window=window,
        softcap=softcap,
    )
    return attention_mix(see("kq_soft_max", shares), v, sequences, pages, lengths, page=page)


def _sequences(sequences: Any, pages: Any, lengths: Any, page: int) -> Iterator[tuple[Any, Any]]:
    """For each sequence of the batch: its tokens, and the cells that it uses."""
    for sequence in np.unique(sequences[sequences >= 0]):
        cells = pages[sequence, :, None] * page + np.arange(page)
        yield np.flatnonzero(sequences == sequence), cells.reshape(-1)[: lengths[sequence]]
