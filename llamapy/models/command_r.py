"""Command R and Aya: attention and the feed-forward block side by side, on one LayerNorm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import HeadLayerNorm, LayerNorm, block, w
from ..tensor import Tensor
from . import orion, plamo
from ._config import key


@dataclass(frozen=True)
class Config(orion.Config):
    """Logits are scaled; 0 says that they are not."""

    logit_scale: float = key("logit_scale", 0.0)


@block
class Layer(plamo.Layer):
    """The larger models have a norm for every head."""

    attn_norm: LayerNorm = w("E")
    attn_q_norm: HeadLayerNorm | None = w("H, D")
    attn_k_norm: HeadLayerNorm | None = w("K, D")


class CommandR(plamo.PLaMo):
    """As PLaMo, with rope over neighbours."""

    Config, Layer, Ends, rotation = Config, Layer, orion.Ends, ops.rope_pairs

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        q = q if w.attn_q_norm is None else w.attn_q_norm(q)
        k = k if w.attn_k_norm is None else w.attn_k_norm(k)
        return super().rotate(q, k, w, step)

    def head(self, x: Tensor) -> Tensor:
        logits = super().head(x)  # [O, V]
        scale = self.config.logit_scale
        return ops.scale(logits, by=scale) if scale else logits
