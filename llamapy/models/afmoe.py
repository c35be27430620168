"""Trinity (AFMoE): gated attention with windows, norms on both sides of each block, experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import Linear, RMSNorm, Rope, StatedSwiGLUExperts, SwiGLU, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import _windows, llama
from ._config import StatedExpertsConfig, layer_key


@dataclass(frozen=True)
class Config(StatedExpertsConfig, _windows.Config):
    """Files say how experts are scored."""

    n_ff_expert: int = layer_key("expert_feed_forward_length")


@block
class Layer(llama.Layer):
    """The first layers are dense."""

    attn_q_norm: RMSNorm = w("D")
    attn_k_norm: RMSNorm = w("D")
    attn_gate: Linear = w("H*D, E")
    post_attention_norm: RMSNorm = w("E")
    ffn: StatedSwiGLUExperts | SwiGLU = group()
    post_ffw_norm: RMSNorm = w("E")


class AFMoE(_windows.WindowedLlama):
    """Rope over halves, and in every fourth layer none: windows or not."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves

    def embed(self, step: Step) -> Tensor:
        x = ops.scale(super().embed(step), by=self.config.n_embd**0.5)
        return see("inp_embd_scaled", x)  # [T, E]

    def make_window_rope(self) -> Rope:
        return self.make_rope(self.config.window_rope_base, self.config.window_rope_dim)

    def rope_of(self, index: int) -> Rope | None:
        return super().rope_of(index) if (index + 1) % 4 else None

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = w.post_attention_norm(self.attention(w.attn_norm(x), w, cache, step))  # [T, E]
        x = see("ffn_inp", x + see("attn_post_norm", y))  # [T, E]
        y = w.post_ffw_norm(w.ffn(w.ffn_norm(x)))  # [T, E]
        return x + see("ffn_post_norm", y)  # [T, E]

    def attention(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        q, k, v = self.heads(x, w)  # [T, H, D] [T, K, D] [T, K, D]
        q, k, v = see("Qcur", q), see("Kcur", k), see("Vcur", v)
        q, k = see("Qcur_normed", w.attn_q_norm(q)), see("Kcur_normed", w.attn_k_norm(k))
        q, k = self.rotate(q, k, w, step)
        y = self.attend(q, k, v, w, cache, step)  # [T, H, D]
        y = see("attn_out", y.view(x.shape[0], y.shape[1] * y.shape[2]))  # [T, H*D]
        gate = see("attn_gate_sig", ops.sigmoid(w.attn_gate(x)))  # [T, H*D]
        return see("attn_o_proj", w.attn_output(see("attn_gated", y * gate)))  # [T, E]
