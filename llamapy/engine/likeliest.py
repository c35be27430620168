"""The likeliest tokens alone, where the logits of all would have to leave a device's memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import ops
from ..models import Decoder
from ..sampling import Candidates
from ..tensor import Tensor

FEW = 128  # tokens that are sent: a kilobyte for a row, and one plan for all samplers


def is_far(decoder: Decoder) -> bool:
    """Whether logits are in memory that is not the processor's."""
    backend = decoder.backend if decoder.output is None else decoder.output.weight.backend
    return not getattr(backend, "shares_memory", True)


def likeliest(logits: Tensor | None) -> Tensor | None:
    """The tokens of each row and their logits, [n, 2, FEW]."""
    if logits is None:
        return None
    return ops.top_candidates(logits, count=min(FEW, logits.shape[-1]))


def candidates_of(row: NDArray[np.float32]) -> Candidates:
    """The candidates of all logits, or of the likeliest tokens and theirs."""
    return Candidates(row) if row.ndim == 1 else Candidates.likeliest(*row)
