"""Jamba (arXiv:2403.19887): Mamba, and in some layers attention without positions; experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..cache import Step
from ..nn import Block, NormedMamba, RMSNorm, SwiGLU, SwiGLUExperts, block, group, w
from ..tensor import Tensor
from . import llama
from ._config import constant, key, layer_key
from ._hybrid import HybridLlama, head_size
from ._mamba import MambaConfig


@dataclass(frozen=True)
class Config(MambaConfig, llama.Config):
    """Experts are as wide as dense blocks; the weights of the chosen are left as they are."""

    head_dim: int = key("attention.key_length", head_size)
    n_ff_expert: int = layer_key("feed_forward_length")
    expert_norm: bool = constant(False)


@block
class RecurrentLayer(Block):
    """As Llama's, with a state space."""

    attn_norm: RMSNorm = w("E")
    recurrence: NormedMamba = group()
    ffn_norm: RMSNorm = w("E")
    ffn: SwiGLU | SwiGLUExperts = group()


class Jamba(HybridLlama):
    """As Llama, but for what does not attend; nothing tells positions."""

    Config, RecurrentLayer = Config, RecurrentLayer
    Layer = llama.Layer
    example: ClassVar[dict[str, Any]] = {"attention.head_count_kv": [0, 2, 0]}

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        return q, k

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        return keys
