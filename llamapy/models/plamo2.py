"""PLaMo 2: a state space of its own, and attention in some layers; norms on both sides of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import ops
from ..cache import Recurrent, Step
from ..nn import (
    Block,
    CausalConv,
    FusedQKV,
    FusedSwiGLU,
    GroupedRMSNorm,
    Linear,
    RMSNorm,
    Unsuffixed,
    UnsuffixedRMSNorm,
    block,
    group,
    w,
)
from ..ops import see
from ..tensor import Tensor
from . import llama
from ._config import expect, key
from ._hybrid import HybridLlama, head_size
from ._mamba import MambaConfig


@dataclass(frozen=True)
class Config(MambaConfig, llama.Config):
    """Here what other files call the rank of the times is the number of heads."""

    head_dim: int = key("attention.key_length", head_size)
    n_group: int = expect("ssm.group_count", 0)

    @property
    def n_rank(self) -> int:
        """The rank of the times."""
        return max(64, self.n_embd // 16)

    @property
    def memory(self) -> Recurrent:
        """What a layer remembers that does not attend."""
        return Recurrent(
            conv=(self.n_conv - 1, self.n_inner),
            ssm=(self.n_time, self.n_inner // self.n_time, self.n_state),
        )

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "P": self.n_rank}


@block
class Selective(Block):
    """As Mamba 2, whose heads fade by one rate; selected as in Mamba, and normed."""

    ssm_in: Linear = w("2*I, E")
    ssm_conv1d: CausalConv = w("I, W")
    ssm_x: Linear = w("P + 2*N, I")
    ssm_b_norm: UnsuffixedRMSNorm | RMSNorm = w("N")
    ssm_c_norm: UnsuffixedRMSNorm | RMSNorm = w("N")
    ssm_dt_norm: UnsuffixedRMSNorm | RMSNorm = w("P")
    ssm_dt: Linear = w("J, P")
    ssm_a: Unsuffixed = w("J")
    ssm_d: Unsuffixed = w("J")
    ssm_out: Linear = w("E, I")

    def __call__(self, x: Tensor, cache: Any, step: Step) -> Tensor:
        c, t = self.config, x.shape[0]
        heads, n, size = c.n_time, c.n_state, c.n_inner // c.n_time
        zx = self.ssm_in(x).view(t * heads, 2 * size)  # of each head, a gate and what it takes in
        z = ops.columns(zx, start=0, count=size)
        x = ops.columns(zx, start=size, count=size).view(t, c.n_inner)  # [T, I]
        x = ops.silu(self.ssm_conv1d(x, cache.conv, step))  # [T, I]
        y = self.ssm_x(x)  # [T, 2*N + P]
        b = self.ssm_b_norm(ops.columns(y, start=0, count=n))  # [T, N]
        c_ = self.ssm_c_norm(ops.columns(y, start=n, count=n))  # [T, N]
        dt = self.ssm_dt(self.ssm_dt_norm(ops.columns(y, start=2 * n, count=c.n_rank)))  # [T, J]
        y = ops.ssm_scan(
            x.view(t, heads, size),
            dt,
            self.ssm_a.weight.view(heads, 1),
            b.view(t, 1, n),
            c_.view(t, 1, n),
            self.ssm_d.weight,
            cache.ssm,
            *step.recurrence,
        )  # [T, J, I//J]
        y = ops.silu_gate(z, y.view(t * heads, size)).view(t, c.n_inner)  # [T, I]
        return see("mamba_out", self.ssm_out(y))  # [T, E]


@block
class Layer(Block):
    """What a block gives is normed before it is added."""

    attn_norm: RMSNorm = w("E")
    attn: FusedQKV = group()
    attn_q_norm: GroupedRMSNorm = w("H, D")
    attn_k_norm: GroupedRMSNorm = w("K, D")
    attn_output: Linear = w("E, H*D")
    post_attention_norm: UnsuffixedRMSNorm | RMSNorm = w("E")
    ffn_norm: RMSNorm = w("E")
    ffn: FusedSwiGLU = group()
    post_ffw_norm: UnsuffixedRMSNorm | RMSNorm = w("E")


@block
class RecurrentLayer(Block):
    """The same, with a state space."""

    attn_norm: RMSNorm = w("E")
    recurrence: Selective = group()
    post_attention_norm: UnsuffixedRMSNorm | RMSNorm = w("E")
    ffn_norm: RMSNorm = w("E")
    ffn: FusedSwiGLU = group()
    post_ffw_norm: UnsuffixedRMSNorm | RMSNorm = w("E")


class PLaMo2(HybridLlama):
    """Rope over halves; each head of a query or key has a norm with weights of its own."""

    Config, Layer, RecurrentLayer, rotation = Config, Layer, RecurrentLayer, ops.rope_halves
    example: ClassVar[dict[str, Any]] = {
        "attention.head_count_kv": [0, 2, 0],
        "ssm.group_count": 0,
    }

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = self.attention(w.attn_norm(x), w, cache, step)  # [T, E]
        x = see("attn_residual", see("attn_post_norm", w.post_attention_norm(y)) + x)  # [T, E]
        y = w.ffn(w.ffn_norm(x))  # [T, E]
        return x + see("ffn_post_norm", w.post_ffw_norm(y))  # [T, E]

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        return super().rotate(_normed(q, w.attn_q_norm), _normed(k, w.attn_k_norm), w, step)


def _normed(heads: Tensor, norm: GroupedRMSNorm) -> Tensor:
    t, h, d = heads.shape
    return norm(heads.view(t, h * d)).view(t, h, d)
