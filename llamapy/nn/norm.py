"""Norms as blocks: the type says which, the Config how small a variance counts as none."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ops
from ..tensor import Tensor
from .weights import Leaf, block


class _Norm(Leaf):
    @classmethod
    def endings(cls, shape: Sequence[str]) -> dict[str, Sequence[str]]:
        return {"weight": shape, "bias": shape}


@block
class RMSNorm(_Norm):
    """Divided by the root of the mean square; on heads [t, h, d], each head by its own."""

    weight: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return ops.see(self.name, ops.rms_norm(x, self.weight, eps=self.config.norm_eps))


@block
class UnsuffixedRMSNorm(RMSNorm):
    """The same, in files whose name for it has no ending."""

    @classmethod
    def tensor_name(cls, path: str, ending: str) -> str:
        return path


@block
class WideRMSNorm(RMSNorm):
    """Of heads [t, h, d], all of a token's together."""

    def __call__(self, x: Tensor) -> Tensor:
        t, h, d = x.shape
        return super().__call__(x.view(t, h * d)).view(t, h, d)


@block
class LayerNorm(_Norm):
    """Mean 0 and variance 1."""

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        y = ops.layer_norm(x, self.weight, self.bias, eps=self.config.norm_eps)
        return ops.see(self.name, y)


@block
class HeadLayerNorm(_Norm):
    """Mean 0 and variance 1 on heads [t, h, d], with weights [h, d]: each head has its own."""

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        y = ops.head_layer_norm(x, self.weight, self.bias, eps=self.config.norm_eps)
        return ops.see(self.name, y)


@block
class GroupNorm(_Norm):
    """Mean 0 and variance 1 over all rows of a group of columns."""

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        c = self.config
        y = ops.group_norm(x, self.weight, self.bias, groups=c.norm_groups, eps=c.norm_eps)
        return ops.see(self.name, y)
