"""Qwen 3 with experts."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn import SwiGLUExperts, block, group
from . import llama, qwen3
from ._config import layer_key, one_of_used


@dataclass(frozen=True)
class Config(llama.Config):
    """How large an expert is."""

    n_ff_expert: int = layer_key("expert_feed_forward_length", one_of_used)


@block
class Layer(qwen3.Layer):
    """Experts in every layer."""

    ffn: SwiGLUExperts = group()


class Qwen3MoE(qwen3.Qwen3):
    """As Qwen 3."""

    Config, Layer = Config, Layer
