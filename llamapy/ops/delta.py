"""The gated delta rule (arXiv:2412.06464): a state learns what it does not yet say of a key.

A head's state is a matrix with a row for each value of a key. It fades, by one rate for the head
or by one for each row; then what it says of the token's key is compared with the token's value, and
the difference, times beta, goes into the rows of the key. Where states lie: `ops.recurrent`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._op import op
from .recurrent import sequences_of, state_of


@op(
    "q[n,h,d], k[n,h,d], v[n,h,e], rate[n,h,m], beta[n,h], "
    "states[s,h,d,e], read<s[r], write<s[n], sequences:int32[n] -> [n,h,e], states"
)
def delta_rule(
    q: Any,
    k: Any,
    v: Any,
    rate: Any,
    beta: Any,
    states: Any,
    read: Any,
    write: Any,
    sequences: Any,
) -> Any:
    """The rate is a logarithm, and m is 1 or d."""
    out = np.zeros_like(v)
    for row, tokens in sequences_of(sequences):
        state = state_of(states, read[row])  # [h, d, e]
        for t in tokens:
            state = state * np.exp(rate[t])[:, :, None]
            known = (k[t][:, None, :] @ state)[:, 0]  # [h, e]
            learned = (v[t] - known) * beta[t][:, None]
            state = state + k[t][:, :, None] * learned[:, None, :]
            out[t] = (q[t][:, None, :] @ state)[:, 0]
            if write[t] >= 0:
                states[write[t]] = state
    return out
