"""Llama 1 to 3, Mixtral, and the many models that are Llama with other numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cache import Step
from ..nn import Block, FusedQKV, Linear, RMSNorm, SplitQKV, SwiGLU, SwiGLUExperts, block, group, w
from ..ops import see
from ..tensor import Tensor
from ._config import ExpertsConfig, RopeConfig
from ._decoder import RopeDecoder


@dataclass(frozen=True)
class Config(ExpertsConfig, RopeConfig):
    """Experts are optional."""

    @property
    def attn_scale(self) -> float:
        """What scores are multiplied with."""
        return self.head_dim**-0.5


@block
class Layer(Block):
    """Dense or with experts: the file has the one or the other."""

    attn_norm: RMSNorm = w("E")
    attn: SplitQKV | FusedQKV = group()
    attn_output: Linear = w("E, H*D")
    ffn_norm: RMSNorm = w("E")
    ffn: SwiGLU | SwiGLUExperts = group()


class Llama(RopeDecoder):
    """A norm before attention and before the feed-forward block; rope over neighbours."""

    Config, Layer = Config, Layer

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        x = see("ffn_inp", x + self.attention(w.attn_norm(x), w, cache, step))  # [T, E]
        return x + w.ffn(w.ffn_norm(x))  # [T, E]

    def attention(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        q, k, v = self.heads(x, w)  # [T, H, D] [T, K, D] [T, K, D]
        q, k = self.rotate(q, k, w, step)
        q, k, v = see("Qcur", q), see("Kcur", k), see("Vcur", v)
        y = self.attend(q, k, v, w, cache, step)  # [T, H, D]
        y = see("kqv_out", y.view(x.shape[0], y.shape[1] * y.shape[2]))  # [T, H*D]
        return see("attn_out", w.attn_output(y))  # [T, E]

    def heads(self, x: Tensor, w: Any) -> tuple[Tensor, Tensor, Tensor]:
        return w.attn(x)

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        return self.rope(q, step.positions), self.rope(k, step.positions)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        return cache.attend(q, k, v, step, scale=self.config.attn_scale)
