"""Convolutions along the tokens of a sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._op import op
from .recurrent import sequences_of, state_of


@op(
    "x[n,c], w[c,k], b[c]?, states[s,h,c], read<s[r], write<s[n], sequences:int32[n] "
    "-> [n,c], states"
)
def causal_conv(x: Any, w: Any, b: Any, states: Any, read: Any, write: Any, sequences: Any) -> Any:
    """Each column's weighted sum of the last k tokens, with weights of its own.

    The state is what came before: the last h = k - 1 tokens.
    """
    k = w.shape[1]
    out = np.zeros_like(x)
    for row, tokens in sequences_of(sequences):
        seen = np.concatenate([state_of(states, read[row]), x[tokens]])  # [h + t, c]
        windows = np.lib.stride_tricks.sliding_window_view(seen, k, 0)  # [t, c, k]
        y = np.einsum("tck,ck->tc", windows, w)
        out[tokens] = y if b is None else y + b
        for at, t in enumerate(tokens):
            if write[t] >= 0:
                states[write[t]] = seen[at + 1 : at + k]
    return out
