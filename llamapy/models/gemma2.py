"""Gemma 2: scaled embeddings, norms on both sides of each block, GeGLU, windows, capped logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import GeGLU, RMSNorm, Rope, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import _windows, llama
from ._config import key, layer_key


@dataclass(frozen=True)
class Config(_windows.Config):
    """Scores and logits are capped; every second layer, from the first on, sees a window."""

    window: int = key("attention.sliding_window", 4096)
    window_pattern: int | bool = layer_key("attention.sliding_window_pattern", 2)
    attn_softcap: float | None = key("attn_logit_softcapping", 50.0)
    final_softcap: float = key("final_logit_softcapping", 30.0)

    @property
    def attn_scale(self) -> float:
        """The model of 27B counts by the embedding's share of a head, not by the head's size."""
        is_27b = self.n_layer == 46
        return (self.n_embd // self.n_head if is_27b else self.head_dim) ** -0.5


@block
class Layer(llama.Layer):
    """What a block gives is normed before it is added."""

    post_attention_norm: RMSNorm = w("E")
    ffn: GeGLU = group()
    post_ffw_norm: RMSNorm = w("E")


class Gemma2(_windows.WindowedLlama):
    """Tied embeddings, rope over halves."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves

    def make_window_rope(self) -> Rope:
        return self.make_rope(self.config.window_rope_base, self.config.window_rope_dim)

    def embed(self, step: Step) -> Tensor:
        return see("inp_scaled", ops.scale(super().embed(step), by=self.config.n_embd**0.5))

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = self.attention(w.attn_norm(x), w, cache, step)
        x = see("sa_out", x + see("attn_post_norm", w.post_attention_norm(y)))  # [T, E]
        return x + see("ffn_post_norm", w.post_ffw_norm(w.ffn(w.ffn_norm(x))))  # [T, E]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        c = self.config
        return cache.attend(q, k, v, step, scale=c.attn_scale, softcap=c.attn_softcap)

    def head(self, x: Tensor) -> Tensor:
        logits, cap = super().head(x), self.config.final_softcap  # [O, V]
        return ops.softcap(logits, cap=cap) if cap else logits
