"""DeepSeek 1: after some dense layers, many small experts and some that all tokens share."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn import SwiGLU, SwiGLUExperts, block, group
from . import llama
from ._config import constant, key, layer_key


@dataclass(frozen=True)
class Config(llama.Config):
    """The weights of the chosen experts may be scaled, and are not normalized."""

    n_ff_expert: int = layer_key("expert_feed_forward_length")
    n_expert_shared: int = key("expert_shared_count")
    expert_norm: bool = constant(False)
    expert_scale: float = key("expert_weights_scale", 1.0)

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "S": self.n_ff_expert * self.n_expert_shared}


@block
class Layer(llama.Layer):
    """Experts, or dense: the file has the one or the other."""

    ffn: SwiGLUExperts | SwiGLU = group()


class DeepSeek(llama.Llama):
    """Rope over neighbours."""

    Config, Layer = Config, Layer
