"""OLMo 2 and 3: norms after each block instead of before it, and on all queries and keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import Block, FusedQKV, Linear, RMSNorm, Rope, SplitQKV, SwiGLU, block, group, w
from ..nn import rope as frequencies
from ..ops import see
from ..tensor import Tensor
from . import _windows
from ._config import key


@dataclass(frozen=True)
class Config(_windows.Config):
    """OLMo 2 has no windows."""

    window: int = key("attention.sliding_window", 0)


@block
class Layer(Block):
    """The norms of queries and keys reach over all heads."""

    attn: SplitQKV | FusedQKV = group()
    attn_q_norm: RMSNorm = w("H*D")
    attn_k_norm: RMSNorm = w("K*D")
    attn_output: Linear = w("E, H*D")
    post_attention_norm: RMSNorm = w("E")
    ffn: SwiGLU = group()
    post_ffw_norm: RMSNorm = w("E")


class OLMo2(_windows.WindowedLlama):
    """Rope over halves; in windows, it is the plain one."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves

    def make_window_rope(self) -> Rope:
        values = frequencies.plain(self.config.rope_dim, self.config.rope_base)
        return Rope(self.rotation, values, self.backend)

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = w.post_attention_norm(self.attention(x, w, cache, step))  # [T, E]
        x = see("ffn_inp", x + see("attn_post_norm", y))  # [T, E]
        return x + w.post_ffw_norm(w.ffn(x))  # [T, E]

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        rows = q.shape[0]
        all_q, all_k = q.view(rows, q.size // rows), k.view(rows, k.size // rows)
        q = see("Qcur_normed", w.attn_q_norm(all_q)).view(*q.shape)  # [T, H, D]
        k = see("Kcur_normed", w.attn_k_norm(all_k)).view(*k.shape)  # [T, K, D]
        return super().rotate(q, k, w, step)
