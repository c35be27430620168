"""Kimi Linear (arXiv:2510.26692): most layers learn by the delta rule, some attend latently."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from ..cache import Recurrent, Step
from ..nn import Block, RMSNorm, StatedSwiGLUExperts, SwiGLU, block, group, w
from ..nn.delta import KimiDelta
from ..nn.latent import AbsorbedKV
from ..tensor import Tensor
from ._config import StatedExpertsConfig, constant, key, layer_key, list_key
from ._hybrid import head_size
from ._latent import LatentConfig, LatentLayer, LatentLlama


@dataclass(frozen=True)
class Config(StatedExpertsConfig, LatentConfig):
    """Layers without heads for keys are recurrent; all have as many heads as the first."""

    head_dim: int = key("attention.key_length", head_size)
    n_heads: tuple[int, ...] = list_key("attention.head_count")
    n_conv: int = key("ssm.conv_kernel")
    n_delta: int = key("kda.head_dim")
    n_ff_expert: int = layer_key("expert_feed_forward_length")
    expert_gating: int = key("expert_gating_func")
    expert_norm: bool = constant(True)

    def at(self, layer: int) -> Config:
        return dataclasses.replace(super().at(layer), n_head=self.n_heads[0])

    @property
    def memory(self) -> Recurrent:
        """What a recurrent layer remembers."""
        seen = (self.n_conv - 1, self.n_heads[0] * self.n_delta)
        heads = (self.n_heads[0], self.n_delta, self.n_delta)
        return Recurrent(conv_q=seen, conv_k=seen, conv_v=seen, delta=heads)

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "P": self.n_delta, "Y": self.n_conv}


@block
class Layer(LatentLayer):
    """One that attends. The first layers are dense."""

    kv: AbsorbedKV = group()
    ffn: StatedSwiGLUExperts | SwiGLU = group()


@block
class RecurrentLayer(Block):
    """One that does not."""

    attn_norm: RMSNorm = w("E")
    recurrence: KimiDelta = group()
    ffn_norm: RMSNorm = w("E")
    ffn: StatedSwiGLUExperts | SwiGLU = group()


class KimiLinear(LatentLlama):
    """Nothing tells positions."""

    Config, Layer = Config, Layer
    example: ClassVar[dict[str, Any]] = {
        "attention.head_count_kv": [0, 4, 0],
        "kda.head_dim": 8,
        "rope.dimension_count": 32,
    }

    @classmethod
    def layer_type(cls, config: Any, number: int) -> type[Block]:
        return cls.Layer if config.n_head_kv else RecurrentLayer

    def state(self, index: int) -> Any:
        c = self.config.at(index)
        return super().state(index) if c.n_head_kv else c.memory

    def attention(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        if w.config.n_head_kv:
            return super().attention(x, w, cache, step)
        return w.recurrence(x, cache, step)

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        return q, k

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        return keys
