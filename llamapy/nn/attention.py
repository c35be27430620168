"""The projections of attention: queries, keys and values in heads."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ops
from ..tensor import Tensor
from .linear import Linear
from .weights import Block, Leaf, block, w


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
class Bias(Leaf):
    """Added to a part of what one matrix gives."""

    bias: Tensor

    @classmethod
    def endings(cls, shape: Sequence[str]) -> dict[str, Sequence[str]]:
        return {"bias": shape}


@block
class FusedQKV(Block):
    """One matrix: queries, then keys, then values. Some files have three biases beside it."""

    attn_qkv: Linear = w("H*D + 2*K*D, E")
    q_bias: Bias | None = w("H*D", name="attn_q")
    k_bias: Bias | None = w("K*D", name="attn_k")
    v_bias: Bias | None = w("K*D", name="attn_v")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c, t = self.config, x.shape[0]
        y = self.attn_qkv(x)  # [T, H*D + 2*K*D]
        n_q, n_kv = c.n_head * c.head_dim, c.n_head_kv * c.head_dim
        q = _biased(ops.columns(y, start=0, count=n_q), self.q_bias)
        k = _biased(ops.columns(y, start=n_q, count=n_kv), self.k_bias)
        v = _biased(ops.columns(y, start=n_q + n_kv, count=n_kv), self.v_bias)
        return (
            q.view(t, c.n_head, c.head_dim),  # [T, H, D]
            k.view(t, c.n_head_kv, c.head_dim),  # [T, K, D]
            v.view(t, c.n_head_kv, c.head_dim),  # [T, K, D]
        )


def _biased(x: Tensor, bias: Bias | None) -> Tensor:
    return x if bias is None else ops.add_bias(x, bias.bias)
