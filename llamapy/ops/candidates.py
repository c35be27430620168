"""The likeliest tokens, so that not all logits need to leave the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._op import op


@op("logits[n,v] -> [n,2,count]")
def top_candidates(logits: Any, *, count: int) -> Any:
    """The tokens of the largest logits, best first, of equals the first; and their logits.

    Tokens are numbers of float32, which are exact below 2**24. NaN comes before all numbers, so
    that it is seen.
    """
    order = np.lexsort((-logits, ~np.isnan(logits)), -1)[:, :count]
    return np.stack([order.astype(np.float32), np.take_along_axis(logits, order, -1)], 1)
