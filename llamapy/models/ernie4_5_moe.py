"""ERNIE 4.5 with experts: chosen with a bias, beside one that all tokens share."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn import SwiGLU, SwiGLUExperts, block, group
from . import llama
from ._config import layer_key


@dataclass(frozen=True)
class Config(llama.Config):
    """Which layers have experts, their tensors say."""

    n_ff_expert: int = layer_key("expert_feed_forward_length")


@block
class Layer(llama.Layer):
    """Experts, or dense: the file has the one or the other."""

    ffn: SwiGLUExperts | SwiGLU = group()


class ERNIE45MoE(llama.Llama):
    """Rope over neighbours."""

    Config, Layer = Config, Layer
