"""Hunyuan 3: Qwen 3's attention, and experts that are scored one by one and chosen with a bias."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn import StatedSwiGLUExperts, SwiGLU, block, group
from . import llama, qwen3
from ._config import StatedExpertsConfig, layer_key, one_of_used


@dataclass(frozen=True)
class Config(StatedExpertsConfig, llama.Config):
    """How large an expert is."""

    n_ff_expert: int = layer_key("expert_feed_forward_length", one_of_used)


@block
class Layer(qwen3.Layer):
    """Experts, or dense: the file has the one or the other."""

    ffn: StatedSwiGLUExperts | SwiGLU = group()


class HunyuanV3(qwen3.Qwen3):
    """As Qwen 3."""

    Config, Layer = Config, Layer
