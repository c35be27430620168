"""Phi 1 to 2: one norm for attention and an ungated GELU block, side by side."""

from __future__ import annotations

from typing import Any

from ..cache import Step
from ..nn import Block, FusedQKV, GeluMLP, LayerNorm, Linear, SplitQKV, block, group, w
from ..tensor import Tensor
from . import orion


@block
class Layer(Block):
    """All matrices have biases, and the output has one."""

    attn_norm: LayerNorm = w("E")
    attn: SplitQKV | FusedQKV = group()
    attn_output: Linear = w("E, H*D")
    ffn: GeluMLP = group()


class Phi2(orion.Orion):
    """Rope over halves, often of a part of each head."""

    Layer = Layer

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = w.attn_norm(x)  # [T, E]
        return x + (self.attention(y, w, cache, step) + w.ffn(y))  # [T, E]
