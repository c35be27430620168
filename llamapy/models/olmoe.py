"""OLMoE: experts, and a norm over all query heads and one over all key heads."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn import SwiGLUExperts, WideRMSNorm, block, group, w
from . import llama, qwen3
from ._config import constant, layer_key


@dataclass(frozen=True)
class Config(llama.Config):
    """The weights of the chosen experts stay as they are."""

    n_ff_expert: int = layer_key("feed_forward_length")
    expert_norm: bool = constant(False)


@block
class Layer(qwen3.Layer):
    """The heads of a token are normed together."""

    attn_q_norm: WideRMSNorm = w("H*D")
    attn_k_norm: WideRMSNorm = w("K*D")
    ffn: SwiGLUExperts = group()


class OLMoE(qwen3.Qwen3):
    """As Qwen 3."""

    Config, Layer = Config, Layer
