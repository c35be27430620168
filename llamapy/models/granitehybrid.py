"""Granite 4 Hybrid: Granite, with Mamba 2 in most layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import ops
from ..nn import Block, Mamba2, RMSNorm, SwiGLU, SwiGLUExperts, block, group, w
from ..tensor import Tensor
from . import granite, llama
from ._config import key, layer_key
from ._hybrid import HybridLlama, head_size
from ._mamba import Mamba2Config


@dataclass(frozen=True)
class Config(Mamba2Config, granite.Config):
    """Logits need not be scaled."""

    head_dim: int = key("attention.key_length", head_size)
    n_ff_expert: int = layer_key("feed_forward_length")
    logit_scale: float = key("logit_scale", 0.0)


@block
class RecurrentLayer(Block):
    """As Granite's, with a state space."""

    attn_norm: RMSNorm = w("E")
    recurrence: Mamba2 = group()
    ffn_norm: RMSNorm = w("E")
    ffn: SwiGLU | SwiGLUExperts = group()


class GraniteHybrid(HybridLlama, granite.Granite):
    """As Granite, but for what does not attend."""

    Config, RecurrentLayer = Config, RecurrentLayer
    Layer = llama.Layer
    example: ClassVar[dict[str, Any]] = {"attention.head_count_kv": [0, 2, 0]}

    def head(self, x: Tensor) -> Tensor:
        logits = llama.Llama.head(self, x)  # [O, V]
        scale = self.config.logit_scale
        return ops.scale(logits, by=1 / scale) if scale else logits
