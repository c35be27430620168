"""DBRX: experts, LayerNorm, and queries, keys and values that are kept within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..nn import LayerNorm, SwiGLUExperts, block, group, w
from ..tensor import Tensor
from . import orion
from ._config import key, layer_key


@dataclass(frozen=True)
class Config(orion.Config):
    """Bounds of 0 are none."""

    n_ff_expert: int = layer_key("feed_forward_length")
    clamp_qkv: float = key("attention.clamp_kqv")


@block
class Layer(orion.Layer):
    """The norm before the experts is named after what comes before it."""

    ffn_norm: LayerNorm = w("E", name="attn_output_norm")
    ffn: SwiGLUExperts = group()


class DBRX(orion.Orion):
    """Rope over halves."""

    Config, Layer = Config, Layer

    def heads(self, x: Tensor, w: Any) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = super().heads(x, w)
        bound = self.config.clamp_qkv
        if bound <= 0:
            return q, k, v
        return (
            ops.clamp(q, low=-bound, high=bound),
            ops.clamp(k, low=-bound, high=bound),
            ops.clamp(v, low=-bound, high=bound),
        )
