"""A gated convolution over few tokens, in the place of attention."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..tensor import Tensor
from .linear import Linear
from .mamba import CausalConv
from .weights import Block, block, w


@block
class ShortConv(Block):
    """out(c * conv(b * x)), with b, c and x from one matrix; W is the tokens that are seen."""

    in_proj: Linear = w("3*E, E", name="shortconv.in_proj")
    conv: CausalConv = w("E, W", name="shortconv.conv")
    out_proj: Linear = w("E, E", name="shortconv.out_proj")

    def __call__(self, x: Tensor, cache: Any, step: Any) -> Tensor:
        n = x.shape[1]
        y = self.in_proj(x)  # [T, 3*E]
        b, c, x = (ops.columns(y, start=at * n, count=n) for at in range(3))  # [T, E] each
        return self.out_proj(ops.mul(c, self.conv(ops.mul(b, x), cache.conv, step)))  # [T, E]
