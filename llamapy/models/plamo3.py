"""PLaMo 3: Gemma's norms on both sides of each block, fused matrices, and windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import Block, FusedSwiGLU, Linear, RMSNorm, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import _windows
from ._config import key, layer_key


@dataclass(frozen=True)
class Config(_windows.Config):
    """Of eight layers, seven see a window. Values may be longer than keys."""

    window: int = key("attention.sliding_window", 0)
    window_pattern: int | bool = layer_key("attention.sliding_window_pattern", 8)
    window_rope_base: float = key("rope.freq_base_swa", 10_000.0)

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "U": self.value_dim}


@block
class PostNorm(RMSNorm):
    """A norm of which files have the weight without an ending."""

    @classmethod
    def tensor_name(cls, path: str, ending: str) -> str:
        return path


@block
class FusedQKV(Block):
    """One matrix: queries, then keys, then values of another length."""

    attn_qkv: Linear = w("H*D + K*D + K*U, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c, t = self.config, x.shape[0]
        y = self.attn_qkv(x)  # [T, H*D + K*D + K*U]
        n_q, n_k, n_v = c.n_head * c.head_dim, c.n_head_kv * c.head_dim, c.n_head_kv * c.value_dim
        q = ops.columns(y, start=0, count=n_q).view(t, c.n_head, c.head_dim)
        k = ops.columns(y, start=n_q, count=n_k).view(t, c.n_head_kv, c.head_dim)
        v = ops.columns(y, start=n_q + n_k, count=n_v).view(t, c.n_head_kv, c.value_dim)
        return q, k, v


@block
class Layer(Block):
    """Heads are normed before they are turned."""

    attn_norm: RMSNorm = w("E")
    attn: FusedQKV = group()
    attn_q_norm: RMSNorm = w("D")
    attn_k_norm: RMSNorm = w("D")
    attn_output: Linear = w("E, H*U")
    post_attention_norm: PostNorm = w("E")
    ffn_norm: RMSNorm = w("E")
    ffn: FusedSwiGLU = group()
    post_ffw_norm: PostNorm = w("E")


class PLaMo3(_windows.WindowedLlama):
    """Rope over halves."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = w.post_attention_norm(self.attention(w.attn_norm(x), w, cache, step))  # [T, E]
        x = see("attn_residual", x + see("attn_post_norm", y))  # [T, E]
        y = w.post_ffw_norm(w.ffn(w.ffn_norm(x)))  # [T, E]
        return x + see("ffn_post_norm", y)  # [T, E]

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        return super().rotate(w.attn_q_norm(q), w.attn_k_norm(k), w, step)
