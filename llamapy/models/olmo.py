"""OLMo 1: Llama with norms that have no weights, and clamped queries, keys and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import Block, Embedding, FusedQKV, Linear, SplitQKV, SwiGLU, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import llama
from ._config import key


@dataclass(frozen=True)
class Config(llama.Config):
    """A limit of 0 says that nothing is clamped."""

    norm_eps: float = key("attention.layer_norm_epsilon")
    clamp: float = key("attention.clamp_kqv", 0.0)


@block
class Ends(Block):
    """No norm."""

    token_embd: Embedding = w("V, E")
    output: Linear | None = w("V, E")


@block
class Layer(Block):
    """Matrices only."""

    attn: SplitQKV | FusedQKV = group()
    attn_output: Linear = w("E, H*D")
    ffn: SwiGLU = group()


class OLMo(llama.Llama):
    """As Llama, but for LayerNorm."""

    Config, Layer, Ends = Config, Layer, Ends

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        x = see("ffn_inp", x + self.attention(self.norm("attn_norm", x), w, cache, step))  # [T, E]
        return x + w.ffn(self.norm("ffn_norm", x))  # [T, E]

    def norm(self, name: str, x: Tensor) -> Tensor:
        return see(name, ops.layer_norm(x, None, None, eps=self.config.norm_eps))

    def heads(self, x: Tensor, w: Any) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = w.attn(x)
        limit = self.config.clamp
        if limit <= 0:
            return q, k, v
        q, k, v = (ops.clamp(heads, low=-limit, high=limit) for heads in (q, k, v))
        return q, k, v

    def head(self, x: Tensor) -> Tensor:
        return self.output(self.norm("result_norm", x))  # [O, V]
