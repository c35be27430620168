"""PLaMo: Llama with attention and the feed-forward block side by side, on one norm."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..cache import Step
from ..nn import Block, FusedQKV, Linear, RMSNorm, SplitQKV, SwiGLU, block, group, w
from ..tensor import Tensor
from . import llama


@block
class Layer(Block):
    """One norm."""

    attn_norm: RMSNorm = w("E")
    attn: SplitQKV | FusedQKV = group()
    attn_output: Linear = w("E, H*D")
    ffn: SwiGLU = group()


class PLaMo(llama.Llama):
    """Rope over halves."""

    Layer, rotation = Layer, ops.rope_halves

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = w.attn_norm(x)  # [T, E]
        return x + (self.attention(y, w, cache, step) + w.ffn(y))  # [T, E]
