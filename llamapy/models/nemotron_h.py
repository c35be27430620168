"""Nemotron-H (arXiv:2504.03624): layers are state spaces, attention or feed-forward blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import ops
from ..cache import Parts, Step
from ..nn import (
    Block,
    ExpertLinear,
    FusedQKV,
    Linear,
    Mamba2,
    ReluSquaredMLP,
    RMSNorm,
    SigmoidRouter,
    SplitQKV,
    block,
    group,
    w,
)
from ..ops import see
from ..tensor import Tensor
from . import _config, llama
from ._config import key, layer_key, one_of_used
from ._hybrid import head_size
from ._mamba import Mamba2Config


@dataclass(frozen=True)
class Epsilon(_config.Config):
    """Files may give the variance of another kind of norm only."""

    layer_norm_eps: float = key("attention.layer_norm_epsilon")


@dataclass(frozen=True)
class Config(Mamba2Config, llama.Config, Epsilon):
    """What a layer is, its sizes tell. Experts may work on fewer columns than the model has."""

    norm_eps: float = key("attention.layer_norm_rms_epsilon", lambda c: c.layer_norm_eps)
    head_dim: int = key("attention.key_length", head_size)
    n_expert_used: int = layer_key("expert_used_count", 0)
    n_ff_expert: int = layer_key("expert_feed_forward_length", one_of_used)
    n_latent: int = key("moe_latent_size", 0)
    expert_norm: bool = key("expert_weights_norm", False)
    expert_scale: float = key("expert_weights_scale", 0.0)

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "U": self.n_latent or self.n_embd}


@block
class MambaLayer(Block):
    """A state space."""

    attn_norm: RMSNorm = w("E")
    mix: Mamba2 = group()


@block
class AttentionLayer(Block):
    """Attention without positions."""

    attn_norm: RMSNorm = w("E")
    attn: SplitQKV | FusedQKV = group()
    attn_output: Linear = w("E, H*D")


@block
class Experts(Block):
    """Without gates: down(relu(up(x)) ** 2); one of them is shared by all tokens."""

    router: SigmoidRouter = group()
    ffn_latent_down: Linear | None = w("U, E")
    ffn_latent_up: Linear | None = w("E, U")
    ffn_up_exps: ExpertLinear = w("X, M, U")
    ffn_down_exps: ExpertLinear = w("X, U, M")
    ffn_up_shexp: Linear = w("S, E")
    ffn_down_shexp: Linear = w("E, S")

    def __call__(self, x: Tensor) -> Tensor:
        ids, weights = self.router(x)  # [T, C] both
        few = x if self.ffn_latent_down is None else self.ffn_latent_down(x)  # [T, U]
        y = self.ffn_up_exps(few.view(few.shape[0], 1, few.shape[1]), ids)  # [T, C, M]
        y = self.ffn_down_exps(ops.relu_squared(y), ids)  # [T, C, U]
        y = see("ffn_moe_out", ops.expert_sum(see("ffn_moe_down", y), weights))  # [T, U]
        y = y if self.ffn_latent_up is None else self.ffn_latent_up(y)  # [T, E]
        shared = self.ffn_down_shexp(ops.relu_squared(self.ffn_up_shexp(x)))  # [T, E]
        return see("ffn_out", y + see("ffn_shexp", shared))  # [T, E]


@block
class FeedForwardLayer(Block):
    """A block without a gate, or experts."""

    attn_norm: RMSNorm = w("E")
    ffn: ReluSquaredMLP | Experts = group()


class NemotronH(llama.Llama):
    """Every layer has one norm, and adds one thing."""

    Config = Config
    example: ClassVar[dict[str, Any]] = {
        "attention.head_count_kv": [0, 2, 0],
        "feed_forward_length": [0, 0, 48],
    }

    @classmethod
    def layer_type(cls, config: Any, number: int) -> type[Block]:
        if config.n_ff:
            return FeedForwardLayer
        return AttentionLayer if config.n_head_kv else MambaLayer

    def state(self, index: int) -> Any:
        c = self.config.at(index)
        if c.n_ff:
            return Parts()
        return super().state(index) if c.n_head_kv else c.memory

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = w.attn_norm(x)  # [T, E]
        match w:
            case FeedForwardLayer():
                return x + w.ffn(y)  # [T, E]
            case AttentionLayer():
                return x + self.attention(y, w, cache, step)  # [T, E]
        return x + w.mix(y, cache, step)  # [T, E]

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        return q, k

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        return keys
