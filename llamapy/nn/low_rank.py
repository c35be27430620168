"""What adapters add to a matrix: the product of two narrow ones, left @ right (arXiv:2106.09685).

The matrix itself stays as it is. How much an addition counts lies in a buffer of its own, so that
recorded plans go on when it changes.
"""

from __future__ import annotations

import numpy as np

from .. import ops
from ..tensor import Tensor


class LowRank:
    """To a projection: into a narrow space, and out of it."""

    def __init__(self, into: Tensor, out: Tensor, scale: float) -> None:
        self.into, self.out = into, out
        self.scale = Tensor.of(np.array([scale], np.float32), into.backend)

    def __call__(self, y: Tensor, *inputs: Tensor) -> Tensor:
        """What the matrix gave for these inputs, and what is added to it."""
        return y + ops.mul_scalar(self.narrow(*inputs), self.scale)

    def narrow(self, x: Tensor) -> Tensor:
        return ops.matmul(ops.matmul(x, self.into), self.out)

    def set_scale(self, scale: float) -> None:
        """How much it counts from now on."""
        self.scale.backend.write(self.scale.buffer, np.array([scale], np.float32))


class ExpertLowRank(LowRank):
    """To a projection for each expert: each has two narrow matrices of its own."""

    def narrow(self, x: Tensor, ids: Tensor) -> Tensor:  # type: ignore[override]
        return ops.expert_matmul(ops.expert_matmul(x, self.into, ids), self.out, ids)


class RowLowRank(LowRank):
    """To the rows of an embedding: a narrow row for each token, and out of the narrow space."""

    def narrow(self, ids: Tensor) -> Tensor:
        return ops.matmul(ops.lookup(ids, self.into), self.out)
