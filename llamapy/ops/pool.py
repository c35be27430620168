"""From rows of a sequence's tokens to one row for the sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._op import op


@op("x[n,k], sequences:int32[n], lengths:int32[r] -> [r,k]")
def mean_pool(x: Any, sequences: Any, lengths: Any) -> Any:
    """The mean of each sequence's rows; a row of sequence -1 fills up a batch."""
    out = np.zeros((len(lengths), x.shape[1]), np.float32)
    kept = (sequences >= 0) & (sequences < len(lengths))
    np.add.at(out, sequences[kept], x[kept])
    return out / np.maximum(lengths, 1).astype(np.float32)[:, None]
