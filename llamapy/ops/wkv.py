"""RWKV's recurrences (arXiv:2404.05892, arXiv:2503.14456), and the linear attention they are.

A head's state is a matrix: a row for each value of a key, a column for each value of a value. A
token adds the product of its key and its value, and reads the rows that its query names. What was
there before fades row by row, at rates that the token gives. Where states lie: `ops.recurrent`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._op import op
from .recurrent import sequences_of, state_of

_STATES = "states[s,h,d,e], read<s[r], write<s[n], sequences:int32[n] -> [n,h,e], states"


@op("x[n,k], states[s,k], read<s[r], write<s[n], sequences:int32[n] -> [n,k], states")
def token_before(x: Any, states: Any, read: Any, write: Any, sequences: Any) -> Any:
    """For each token the one before it in its sequence; zeros before the first."""
    out = np.zeros_like(x)
    for row, tokens in sequences_of(sequences):
        out[tokens[0]] = state_of(states, read[row])
        out[tokens[1:]] = x[tokens[:-1]]
        for t in tokens:
            if write[t] >= 0:
                states[write[t]] = x[t]
    return out


@op("x[n,k], y[n,k], by[k] -> [n,k]")
def toward_columns(x: Any, y: Any, by: Any) -> Any:
    """Moved toward y, each column by its own share of the way."""
    return x + (y - x) * by


@op("x[n,k], y[n,k], by[n,k] -> [n,k]")
def toward(x: Any, y: Any, by: Any) -> Any:
    """Moved toward y, each value by its own share of the way."""
    return x + (y - x) * by


@op("x[...] -> [...]")
def exp(x: Any) -> Any:
    return np.exp(x)


@op(f"q[n,h,d], k[n,h,d], v[n,h,e], fade[n,h,d], {_STATES}")
def linear_attention(
    q: Any,
    k: Any,
    v: Any,
    fade: Any,
    states: Any,
    read: Any,
    write: Any,
    sequences: Any,
) -> Any:
    """The state fades, takes the token in, and is read."""
    out = np.zeros_like(v)
    for row, tokens in sequences_of(sequences):
        state = state_of(states, read[row])  # [h, d, e]
        for t in tokens:
            state = state * fade[t][:, :, None] + _outer(k[t], v[t])
            out[t] = _read(q[t], state)
            if write[t] >= 0:
                states[write[t]] = state
    return out


@op(f"r[n,h,d], k[n,h,d], v[n,h,e], fade[n,h,d], first[h,d], {_STATES}")
def wkv6(
    r: Any,
    k: Any,
    v: Any,
    fade: Any,
    first: Any,
    states: Any,
    read: Any,
    write: Any,
    sequences: Any,
) -> Any:
    """RWKV 6: the state is read before it fades; the token itself counts as `first` says."""
    out = np.zeros_like(v)
    for row, tokens in sequences_of(sequences):
        state = state_of(states, read[row])  # [h, d, e]
        for t in tokens:
            new = _outer(k[t], v[t])
            out[t] = _read(r[t], state + first[:, :, None] * new)
            state = state * fade[t][:, :, None] + new
            if write[t] >= 0:
                states[write[t]] = state
    return out


@op(f"r[n,h,d], k[n,h,d], v[n,h,e], fade[n,h,d], a[n,h,d], b[n,h,d], {_STATES}")
def wkv7(
    r: Any,
    k: Any,
    v: Any,
    fade: Any,
    a: Any,
    b: Any,
    states: Any,
    read: Any,
    write: Any,
    sequences: Any,
) -> Any:
    """RWKV 7: what the state says of a comes back to the rows of b, beside fading and taking in."""
    out = np.zeros_like(v)
    for row, tokens in sequences_of(sequences):
        state = state_of(states, read[row])  # [h, d, e]
        for t in tokens:
            returned = _outer(b[t], _read(a[t], state))
            state = state * fade[t][:, :, None] + _outer(k[t], v[t]) + returned
            out[t] = _read(r[t], state)
            if write[t] >= 0:
                states[write[t]] = state
    return out


def _outer(k: Any, v: Any) -> Any:
    """The products of a head's keys [h, d] and values [h, e]: [h, d, e]."""
    return k[:, :, None] * v[:, None, :]


def _read(q: Any, state: Any) -> Any:
    """A sum of the rows of each state [h, d, e], as queries [h, d] say."""
    return (q[:, None, :] @ state)[:, 0]
