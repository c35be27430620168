"""gpt-oss: experts with clipped gates, windows, and a sink for each head's attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import (
    Block,
    ChosenSoftmaxRouter,
    FusedQKV,
    Linear,
    RMSNorm,
    Rope,
    SplitQKV,
    SwiGLUExperts,
    block,
    group,
    w,
)
from ..ops import see
from ..tensor import Tensor
from . import _windows
from ._config import constant, layer_key

LIMIT = 7.0  # of gates


@dataclass(frozen=True)
class Config(_windows.Config):
    """Every second layer, from the first on, sees a window."""

    window_pattern: int | bool = layer_key("attention.sliding_window_pattern", 2)
    n_ff_expert: int = layer_key("expert_feed_forward_length")
    expert_norm: bool = constant(False)


@block
class Experts(SwiGLUExperts):
    """The weights are a softmax of the chosen experts' logits."""

    router: ChosenSoftmaxRouter = group()

    def activate(self, gate: Tensor, up: Tensor) -> Tensor:
        return see("ffn_moe_swiglu_oai", ops.clipped_gate(gate, up, limit=LIMIT))


@block
class Layer(Block):
    """What is called the norm after attention is the one before the experts."""

    attn_norm: RMSNorm = w("E")
    attn: SplitQKV | FusedQKV = group()
    attn_sinks: Tensor = w("H")
    attn_output: Linear = w("E, H*D")
    post_attention_norm: RMSNorm = w("E")
    ffn: Experts = group()


class GPTOSS(_windows.WindowedLlama):
    """Rope over halves."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves

    def make_window_rope(self) -> Rope:
        return self.make_rope(self.config.window_rope_base, self.config.window_rope_dim)

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        x = see("ffn_inp", x + self.attention(w.attn_norm(x), w, cache, step))  # [T, E]
        return x + w.ffn(see("attn_post_norm", w.post_attention_norm(x)))  # [T, E]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        return cache.attend(q, k, v, step, scale=self.config.attn_scale, sinks=w.attn_sinks)
