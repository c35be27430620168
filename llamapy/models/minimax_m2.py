"""MiniMax M2: OLMoE's norms over all heads, and experts that are chosen with a bias."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn import StatedSwiGLUExperts, block, group
from . import llama, olmoe
from ._config import key, layer_key


@dataclass(frozen=True)
class Config(llama.Config):
    """Files say how experts are scored; the weights of the chosen are of sum 1."""

    n_ff_expert: int = layer_key("feed_forward_length")
    expert_gating: int = key("expert_gating_func")


@block
class Layer(olmoe.Layer):
    """Experts in every layer."""

    ffn: StatedSwiGLUExperts = group()


class MiniMaxM2(olmoe.OLMoE):
    """Rope over half of each head."""

    Config, Layer = Config, Layer
