"""Recurrences: what a sequence's earlier tokens left behind is a state of fixed size.

States lie in slots. Row r of `read` says where the state of the step's sequence r is, and -1 that
it begins with zeros; `write` says for each token in which slot to put the state after it, and -1
that nobody needs it. After the last token of a sequence, somebody does. `sequences` are the rows
that tokens belong to; a token that fills up a batch has -1, and its result is zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._op import op


@op(
    "x[n,h,d], dt[n,h], a[h,m], b[n,g,q], c[n,g,q], skip[h], "
    "states[s,h,d,q], read<s[r], write<s[n], sequences:int32[n] -> [n,h,d], states"
)
def ssm_scan(
    x: Any,
    dt: Any,
    a: Any,
    b: Any,
    c: Any,
    skip: Any,
    states: Any,
    read: Any,
    write: Any,
    sequences: Any,
) -> Any:
    """A selective state space: the state fades, takes the token in by b, and is read out by c.

    How much of each depends on the token: dt is the time that it lasts. Every head fades by one
    rate (Mamba 2), or each value of its state by its own (Mamba 1). Groups of heads share b and c.
    """
    _, h, _ = x.shape
    each = h // b.shape[1]
    time = np.logaddexp(dt, np.float32(0))  # [n, h]
    out = np.zeros_like(x)
    for row, tokens in sequences_of(sequences):
        state = state_of(states, read[row])  # [h, d, q]
        for t in tokens:
            fade = np.exp(time[t, :, None] * a)  # [h, m]
            taken = x[t] * time[t, :, None]  # [h, d]
            b_of_heads = np.repeat(b[t], each, 0)  # [h, q]
            c_of_heads = np.repeat(c[t], each, 0)  # [h, q]
            state = state * fade[:, None] + taken[:, :, None] * b_of_heads[:, None]
            out[t] = (state @ c_of_heads[:, :, None])[:, :, 0] + x[t] * skip[:, None]
            if write[t] >= 0:
                states[write[t]] = state
    return out


def sequences_of(sequences: Any) -> Iterator[tuple[int, Any]]:
    """The sequences of a step, each with the numbers of its tokens in their order."""
    for row in np.unique(sequences[sequences >= 0]):
        yield int(row), np.flatnonzero(sequences == row)


def state_of(states: Any, slot: Any) -> Any:
    """The state in a slot, copied; zeros if there is none."""
    return states[slot].copy() if slot >= 0 else np.zeros_like(states[0])
