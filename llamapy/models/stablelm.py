"""StableLM: Orion, and without a second norm, attention and the feed-forward block side by side."""

from __future__ import annotations

from typing import Any

from ..cache import Step
from ..nn import HeadLayerNorm, LayerNorm, block, w
from ..ops import see
from ..tensor import Tensor
from . import orion


@block
class Layer(orion.Layer):
    """StableLM 2 12B has a norm for every head, and none for the feed-forward block."""

    attn_q_norm: HeadLayerNorm | None = w("H, D")
    attn_k_norm: HeadLayerNorm | None = w("K, D")
    ffn_norm: LayerNorm | None = w("E")


class StableLM(orion.Orion):
    """Rope over halves, of a part of each head."""

    Layer = Layer

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = w.attn_norm(x)  # [T, E]
        x = see("ffn_inp", x + self.attention(y, w, cache, step))  # [T, E]
        return x + w.ffn(y if w.ffn_norm is None else w.ffn_norm(x))  # [T, E]

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        q = q if w.attn_q_norm is None else w.attn_q_norm(q)
        k = k if w.attn_k_norm is None else w.attn_k_norm(k)
        return super().rotate(q, k, w, step)
