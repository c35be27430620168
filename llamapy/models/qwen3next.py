"""Qwen3-Next: three of four layers are gated delta networks; gated attention; experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import ops
from ..cache import Recurrent, Step
from ..nn import Block, Linear, RMSNorm, SwiGLU, SwiGLUExperts, block, group, w
from ..nn.delta import DeltaNet, InterleavedRates
from ..nn.latent import part
from ..ops import see
from ..tensor import Tensor
from . import llama
from ._config import key, layer_key, one_of_used
from ._mamba import Mamba2Config


def _all_but_every_fourth(c: Any) -> tuple[int, ...]:
    return tuple(int((layer + 1) % c.interval != 0) for layer in range(c.n_block))


@dataclass(frozen=True)
class Config(Mamba2Config, llama.Config):
    """Heads of values are as large as those of keys."""

    n_ff_expert: int = layer_key("expert_feed_forward_length", one_of_used)
    interval: int = key("full_attention_interval", 4)
    is_recurrent: int | bool = layer_key("attention.recurrent_layers", _all_but_every_fourth)

    @property
    def memory(self) -> Recurrent:
        return Recurrent(
            conv=(self.n_conv - 1, self.n_inner + 2 * self.n_group * self.n_state),
            delta=(self.n_time, self.n_state, self.n_state),
        )


@block
class SplitQKV(Block):
    """Three matrices; the one for queries also gives what attention is gated by."""

    attn_q: Linear = w("2*H*D, E")
    attn_k: Linear = w("K*D, E")
    attn_v: Linear = w("K*D, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.attn_q(x), self.attn_k(x), self.attn_v(x)


@block
class FusedQKV(Block):
    """The same from one matrix."""

    attn_qkv: Linear = w("2*H*D + 2*K*D, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c, y = self.config, self.attn_qkv(x)
        n_q, n_kv = 2 * c.n_head * c.head_dim, c.n_head_kv * c.head_dim
        return (
            ops.columns(y, start=0, count=n_q),
            ops.columns(y, start=n_q, count=n_kv),
            ops.columns(y, start=n_q + n_kv, count=n_kv),
        )


@block
class Layer(Block):
    """One that attends."""

    attn_norm: RMSNorm = w("E")
    attn: SplitQKV | FusedQKV = group()
    attn_q_norm: RMSNorm = w("D")
    attn_k_norm: RMSNorm = w("D")
    attn_output: Linear = w("E, H*D")
    post_attention_norm: RMSNorm = w("E")
    ffn: SwiGLUExperts | SwiGLU = group()


@block
class Delta(DeltaNet):
    """Rates stand beside the heads of keys that they belong to."""

    rates: InterleavedRates = group()


@block
class RecurrentLayer(Block):
    """One that does not."""

    attn_norm: RMSNorm = w("E")
    recurrence: Delta = group()
    post_attention_norm: RMSNorm = w("E")
    ffn: SwiGLUExperts | SwiGLU = group()


class Qwen3Next(llama.Llama):
    """Rope over halves."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves
    RecurrentLayer: ClassVar[type[Block]] = RecurrentLayer
    example: ClassVar[dict[str, Any]] = {
        "ssm.inner_size": 64,
        "ssm.state_size": 16,
        "ssm.time_step_rank": 4,
        "ssm.group_count": 2,
        "attention.recurrent_layers": [1, 0, 1],
    }

    @classmethod
    def layer_type(cls, config: Any, number: int) -> type[Block]:
        return cls.RecurrentLayer if config.is_recurrent else cls.Layer

    def state(self, index: int) -> Any:
        c = self.config.at(index)
        return c.memory if c.is_recurrent else super().state(index)

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        x = see("attn_residual", x + self.attention(w.attn_norm(x), w, cache, step))  # [T, E]
        return x + w.ffn(see("attn_post_norm", w.post_attention_norm(x)))  # [T, E]

    def attention(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        if w.config.is_recurrent:
            return w.recurrence(x, cache, step)
        c, t = w.config, x.shape[0]
        q, k, v = w.attn(x)
        q = q.view(t, c.n_head, 2 * c.head_dim)
        gate = part(q, c.head_dim, c.head_dim).view(t, c.n_head * c.head_dim)
        q = see("Qcur_normed", w.attn_q_norm(part(q, 0, c.head_dim)))  # [T, H, D]
        k = see("Kcur_normed", w.attn_k_norm(k.view(t, c.n_head_kv, c.head_dim)))  # [T, K, D]
        v = see("Vcur", v.view(t, c.n_head_kv, c.head_dim))  # [T, K, D]
        q, k = self.rotate(q, k, w, step)
        y = self.attend(see("Qcur", q), see("Kcur", k), v, w, cache, step)  # [T, H, D]
        y = see("attn_pregate", see("kqv_out", y.view(t, c.n_head * c.head_dim)))
        y = see("attn_gated", ops.mul(y, see("gate_sigmoid", ops.sigmoid(gate))))
        return w.attn_output(y)  # [T, E]
