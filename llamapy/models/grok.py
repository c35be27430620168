"""Grok 1 and 2: experts gated by GELU, norms behind each block, scores and logits within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import Block, GeGLU, GeGLUExperts, RMSNorm, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import llama
from ._config import key, layer_key


@dataclass(frozen=True)
class Config(llama.Config):
    """What older files do not say is Grok 1's. The router's bound is stated, and not used."""

    n_ff_expert: int = layer_key("expert_feed_forward_length", lambda c: c.n_ff)
    logit_scale: float = key("logit_scale", 0.5773502691896257)
    embedding_scale: float = key("embedding_scale", 78.38367176906169)
    output_scale: float = key("attention.output_scale", 0.08838834764831845)
    attn_softcap: float = key("attn_logit_softcapping", 30.0)
    final_softcap: float = key("final_logit_softcapping", 0.0)
    yarn_extrapolation: float = key("rope.scaling.yarn_ext_factor", 1.0)
    yarn_beta_fast: float = key("rope.scaling.yarn_beta_fast", 8.0)
    yarn_beta_slow: float = key("rope.scaling.yarn_beta_slow", 1.0)

    @property
    def attn_scale(self) -> float:
        return self.output_scale


@block
class LayerOutputNorm(Block):
    """The last norm of a layer."""

    layer_output_norm: RMSNorm = w("E")

    def __call__(self, x: Tensor) -> Tensor:
        return self.layer_output_norm(x)


@block
class PostFFWNorm(Block):
    """The same, as Grok 2's files call it."""

    post_ffw_norm: RMSNorm = w("E")

    def __call__(self, x: Tensor) -> Tensor:
        return self.post_ffw_norm(x)


@block
class Layer(llama.Layer):
    """Grok 2 has a dense block beside the experts."""

    attn_output_norm: RMSNorm = w("E")
    ffn: GeGLU | None = group()
    experts: GeGLUExperts = group()
    last_norm: LayerOutputNorm | PostFFWNorm = group()


class Grok(llama.Llama):
    """Rope over halves."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves

    def embed(self, step: Step) -> Tensor:
        return see("embd", ops.scale(super().embed(step), by=self.config.embedding_scale))

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = self.attention(w.attn_norm(x), w, cache, step)
        x = see("ffn_inp", x + see("attn_out_norm", w.attn_output_norm(y)))  # [T, E]
        y = w.ffn_norm(x)  # [T, E]
        out = w.experts(y)  # [T, E]
        if w.ffn is not None:
            out = see("ffn_out", ops.scale(w.ffn(y) + out, by=0.5**0.5))  # [T, E]
        return x + see("ffn_post_norm", w.last_norm(out))  # [T, E]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        c = self.config
        return cache.attend(q, k, v, step, scale=c.attn_scale, softcap=c.attn_softcap)

    def head(self, x: Tensor) -> Tensor:
        c = self.config
        logits = ops.scale(super().head(x), by=c.logit_scale)  # [O, V]
        return ops.softcap(logits, cap=c.final_softcap) if c.final_softcap else logits
