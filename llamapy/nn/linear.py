"""Matrices of weights: a projection, one for each expert, and the embedding of tokens."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ops
from ..tensor import Tensor
from .low_rank import ExpertLowRank, LowRank, RowLowRank
from .weights import Leaf, block


@block
class Linear(Leaf):
    """A projection: a matrix, and where the file has them a bias and a scale."""

    weight: Tensor
    bias: Tensor | None = None
    scale: Tensor | None = None

    adaptable = LowRank

    def __call__(self, x: Tensor) -> Tensor:
        y = ops.matmul(x, self.weight)
        if self.scale is not None:
            y = ops.mul_scalar(y, self.scale)
        for addition in self.additions:
            y = addition(y, x)
        if self.bias is not None:
            y = ops.add_bias(y, self.bias)
        return ops.see(self.name, y)


@block
class ExpertLinear(Leaf):
    """A projection for each expert: rows go to those that their ids name."""

    weight: Tensor
    bias: Tensor | None = None
    scale: Tensor | None = None

    adaptable = ExpertLowRank

    @classmethod
    def endings(cls, shape: Sequence[str]) -> dict[str, Sequence[str]]:
        return {"weight": shape, "bias": shape[:-1], "scale": shape[:1]}

    def __call__(self, x: Tensor, ids: Tensor) -> Tensor:
        y = ops.expert_matmul(x, self.weight, ids)
        if self.scale is not None:
            y = ops.mul_expert_scale(y, self.scale, ids)
        for addition in self.additions:
            y = addition(y, x, ids)
        if self.bias is not None:
            y = ops.add_expert_bias(y, self.bias, ids)
        return ops.see(self.name, y)


@block
class Embedding(Leaf):
    """A row for each token."""

    weight: Tensor

    adaptable = RowLowRank

    def __call__(self, ids: Tensor) -> Tensor:
        rows = ops.lookup(ids, self.weight)
        for addition in self.additions:
            rows = addition(rows, ids)
        return ops.see(self.name, rows)

    def as_output(self) -> Linear:
        """The same matrix as a projection to the vocabulary: tied embeddings are stored once."""
        output = Linear(self.weight)
        output.name, output.config = "output", self.config
        return output
