"""Arctic: beside the attention and dense block of each layer stand experts, with its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cache import Step
from ..nn import RMSNorm, SwiGLU, SwiGLUExperts, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import llama
from ._config import layer_key


@dataclass(frozen=True)
class Config(llama.Config):
    """The dense block is as wide as the hidden state; the stated size is that of experts."""

    n_ff_expert: int = layer_key("feed_forward_length")

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "F": self.n_embd}


@block
class Layer(llama.Layer):
    """Both kinds of feed-forward blocks, each with its norm."""

    ffn: SwiGLU = group()
    ffn_norm_exps: RMSNorm = w("E")
    experts: SwiGLUExperts = group()


class Arctic(llama.Llama):
    """Rope over neighbours."""

    Config, Layer = Config, Layer

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = see("ffn_inp", x + self.attention(w.attn_norm(x), w, cache, step))  # [T, E]
        y = see("ffn_out", y + w.ffn(w.ffn_norm(y)))  # [T, E]
        return y + w.experts(w.ffn_norm_exps(x))  # [T, E]
