"""Falcon: attention and an ungated GELU block side by side, on the same or on two norms."""

from __future__ import annotations

from typing import Any

from ..cache import Step
from ..nn import Block, FusedQKV, GeluMLP, LayerNorm, Linear, SplitQKV, block, group, w
from ..tensor import Tensor
from . import orion


@block
class Layer(Block):
    """The larger models have a norm for attention alone."""

    attn_norm: LayerNorm = w("E")
    attn_norm_2: LayerNorm | None = w("E")
    attn: FusedQKV | SplitQKV = group()
    attn_output: Linear = w("E, H*D")
    ffn: GeluMLP = group()


class Falcon(orion.Orion):
    """Rope over halves."""

    Layer = Layer

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = w.attn_norm(x)  # [T, E]
        own = y if w.attn_norm_2 is None else w.attn_norm_2(x)  # [T, E]
        return x + (self.attention(own, w, cache, step) + w.ffn(y))  # [T, E]
