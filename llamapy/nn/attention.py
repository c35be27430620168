"""The projections of attention: queries, keys and values in heads."""

from __future__ import annotations

from .. import ops
from ..tensor import Tensor
from .linear import Linear
from .weights import Block, block, w


@block
class SplitQKV(Block):
    """Three matrices."""

    attn_q: Linear = w("H*D, E")
    attn_k: Linear = w("K*D, E")
    attn_v: Linear = w("K*D, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c, t = self.config, x.shape[0]
        return (
            self.attn_q(x).view(t, c.n_head, c.head_dim),  # [T, H, D]
            self.attn_k(x).view(t, c.n_head_kv, c.head_dim),  # [T, K, D]
            self.attn_v(x).view(t, c.n_head_kv, c.head_dim),  # [T, K, D]
        )


@block
class FusedQKV(Block):
    """One matrix: queries, then keys, then values."""

    attn_qkv: Linear = w("H*D + 2*K*D, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c, t = self.config, x.shape[0]
        y = self.attn_qkv(x)  # [T, H*D + 2*K*D]
        n_q, n_kv = c.n_head * c.head_dim, c.n_head_kv * c.head_dim
        q = ops.columns(y, start=0, count=n_q)
        k = ops.columns(y, start=n_q, count=n_kv)
        v = ops.columns(y, start=n_q + n_kv, count=n_kv)
        return (
            q.view(t, c.n_head, c.head_dim),  # [T, H, D]
            k.view(t, c.n_head_kv, c.head_dim),  # [T, K, D]
            v.view(t, c.n_head_kv, c.head_dim),  # [T, K, D]
        )
