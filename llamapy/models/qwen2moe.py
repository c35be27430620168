"""Qwen 1.5 and 2 with experts: many small ones, and one that all tokens share, behind a gate."""

from __future__ import annotations

from dataclasses import dataclass

from .. import ops
from ..nn import SwiGLUExperts, block, group
from . import llama
from ._config import constant, layer_key, one_of_used


@dataclass(frozen=True)
class Config(llama.Config):
    """The weights of the chosen experts stay as they are."""

    n_ff_expert: int = layer_key("expert_feed_forward_length", one_of_used)
    expert_norm: bool = constant(False)


@block
class Layer(llama.Layer):
    """Experts in every layer."""

    ffn: SwiGLUExperts = group()


class Qwen2MoE(llama.Llama):
    """Rope over halves."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves
