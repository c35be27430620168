"""Granite 3 and 4: Llama with scaled embeddings, residuals, scores and logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..ops import see
from ..tensor import Tensor
from . import llama
from ._config import key


@dataclass(frozen=True)
class Config(llama.Config):
    """A scale of 0 says that there is none. Positions may be switched off."""

    logit_scale: float = key("logit_scale")
    residual_scale: float = key("residual_scale", 0.0)
    embedding_scale: float = key("embedding_scale", 0.0)
    attention_scale: float = key("attention.scale", 0.0)
    turned: bool = key("rope.scaling.finetuned", True)

    @property
    def attn_scale(self) -> float:
        return self.attention_scale or super().attn_scale


class Granite(llama.Llama):
    """As Llama, but for the scales."""

    Config = Config

    def embed(self, step: Step) -> Tensor:
        return see("embd", scaled(super().embed(step), self.config.embedding_scale))

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        by = self.config.residual_scale
        y = self.attention(w.attn_norm(x), w, cache, step)
        x = see("ffn_inp", x + scaled(y, by))  # [T, E]
        return x + scaled(w.ffn(w.ffn_norm(x)), by)  # [T, E]

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        return super().rotate(q, k, w, step) if self.config.turned else (q, k)

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        return super().move(index, keys, by) if self.config.turned else keys

    def head(self, x: Tensor) -> Tensor:
        return ops.scale(super().head(x), by=1 / self.config.logit_scale)


def scaled(x: Tensor, by: float) -> Tensor:
    """Times a number of the file; 0 says that there is none."""
    return ops.scale(x, by=by) if by else x
