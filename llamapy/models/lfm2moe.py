"""LFM2 with experts, after some dense layers."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn import StatedSwiGLUExperts, SwiGLU, block, group
from . import lfm2, qwen3
from ._config import constant, key, layer_key


@dataclass(frozen=True)
class Config(lfm2.Config):
    """Attention sees everything."""

    window: int = constant(0)
    n_ff_expert: int = layer_key("expert_feed_forward_length")
    expert_gating: int = key("expert_gating_func")


@block
class Layer(qwen3.Layer):
    """Dense or with experts: the file has the one or the other."""

    ffn: StatedSwiGLUExperts | SwiGLU = group()


@block
class RecurrentLayer(lfm2.RecurrentLayer):
    """The same."""

    ffn: StatedSwiGLUExperts | SwiGLU = group()


class LFM2MoE(lfm2.LFM2):
    """As LFM2."""

    Config, Layer, RecurrentLayer = Config, Layer, RecurrentLayer
