"""dots.llm1: Qwen 3's attention; after some dense layers, experts and one that all tokens share."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn import StatedSwiGLUExperts, SwiGLU, block, group
from . import llama, qwen3
from ._config import StatedExpertsConfig, key, layer_key


@dataclass(frozen=True)
class Config(StatedExpertsConfig, llama.Config):
    """Files say how experts are scored."""

    n_ff_expert: int = layer_key("expert_feed_forward_length")
    expert_gating: int = key("expert_gating_func")


@block
class Layer(qwen3.Layer):
    """Experts, or dense: the file has the one or the other."""

    ffn: StatedSwiGLUExperts | SwiGLU = group()


class Dots1(qwen3.Qwen3):
    """As Qwen 3."""

    Config, Layer = Config, Layer
