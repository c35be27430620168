"""Hunyuan: Qwen 3, but heads are turned before they are normed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cache import Step
from ..nn import SwiGLU, block, group
from ..tensor import Tensor
from . import _decoder, llama, qwen3
from ._config import key


@dataclass(frozen=True)
class Config(llama.Config):
    """For longer contexts the base of rope grows, as a factor of their length says."""

    rope_alpha: float = key("rope.scaling.alpha", 0.0)

    @property
    def grown_base(self) -> float:
        if self.rope_alpha <= 0:
            return self.rope_base
        return self.rope_base * self.rope_alpha ** (self.head_dim / (self.head_dim - 2))


@block
class Layer(qwen3.Layer):
    """Dense."""

    ffn: SwiGLU = group()


class Hunyuan(qwen3.Qwen3):
    """As Qwen 3. Normed keys cannot be turned any further: their weights differ in each value."""

    Config, Layer = Config, Layer
    move = _decoder.Decoder.move

    def setup(self) -> None:
        self.rope = self.make_rope(self.config.grown_base)

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        q, k = llama.Llama.rotate(self, q, k, w, step)
        return w.attn_q_norm(q), w.attn_k_norm(k)
