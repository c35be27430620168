"""Feed-forward blocks: the type says how they are gated, and by which activation."""

from __future__ import annotations

from .. import ops
from ..tensor import Tensor
from .linear import Linear
from .weights import Block, block, w


@block
class SwiGLU(Block):
    """down(silu(gate(x)) * up(x))"""

    ffn_gate: Linear = w("F, E")
    ffn_up: Linear = w("F, E")
    ffn_down: Linear = w("E, F")

    def __call__(self, x: Tensor) -> Tensor:
        y = ops.swiglu(x, self.ffn_gate, self.ffn_up)  # [T, F]
        return ops.see("ffn_out", self.ffn_down(ops.see("ffn_swiglu", y)))


@block
class FusedSwiGLU(Block):
    """As SwiGLU, from one matrix: gate, then up."""

    ffn_up: Linear = w("2*F, E")
    ffn_down: Linear = w("E, F")

    def __call__(self, x: Tensor) -> Tensor:
        y = self.ffn_up(x)  # [T, 2*F]
        n = y.shape[1] // 2
        gate, up = ops.columns(y, start=0, count=n), ops.columns(y, start=n, count=n)
        y = ops.see("ffn_swiglu", ops.silu_gate(gate, up))  # [T, F]
        return ops.see("ffn_out", self.ffn_down(y))


@block
class GeGLU(SwiGLU):
    """down(gelu(gate(x)) * up(x))"""

    def __call__(self, x: Tensor) -> Tensor:
        y = ops.geglu(x, self.ffn_gate, self.ffn_up)  # [T, F]
        return ops.see("ffn_out", self.ffn_down(ops.see("ffn_geglu", y)))


@block
class ReGLU(SwiGLU):
    """down(relu(gate(x)) * up(x))"""

    def __call__(self, x: Tensor) -> Tensor:
        y = ops.reglu(x, self.ffn_gate, self.ffn_up)  # [T, F]
        return ops.see("ffn_out", self.ffn_down(ops.see("ffn_reglu", y)))


@block
class GeluMLP(Block):
    """down(gelu(up(x)))"""

    ffn_up: Linear = w("F, E")
    ffn_down: Linear = w("E, F")

    def __call__(self, x: Tensor) -> Tensor:
        y = ops.see("ffn_gelu", ops.gelu(self.ffn_up(x)))  # [T, F]
        return ops.see("ffn_out", self.ffn_down(y))


@block
class ReluSquaredMLP(GeluMLP):
    """down(relu(up(x)) ** 2)"""

    def __call__(self, x: Tensor) -> Tensor:
        y = ops.see("ffn_sqr(relu)", ops.relu_squared(self.ffn_up(x)))  # [T, F]
        return ops.see("ffn_out", self.ffn_down(y))
