"""Falcon-H1: Mamba 2 beside attention, in every layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Parts, Step
from ..nn import Mamba2, RMSNorm, SwiGLU, UnsuffixedRMSNorm, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import llama
from ._mamba import Mamba2Config


@dataclass(frozen=True)
class Config(Mamba2Config, llama.Config):
    """The multipliers of the original are in the weights."""


@block
class Layer(llama.Layer):
    """The state space gets what attention gets."""

    mamba: Mamba2 = group()
    ffn_norm: RMSNorm | UnsuffixedRMSNorm = w("E")
    ffn: SwiGLU = group()


class FalconH1(llama.Llama):
    """Rope over halves."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves

    def state(self, index: int) -> Any:
        return Parts(attention=super().state(index), mamba=self.config.memory)

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = w.attn_norm(x)  # [T, E]
        attended = self.attention(y, w, cache.attention, step)  # [T, E]
        x = see("ffn_inp", attended + w.mamba(y, cache.mamba, step) + x)  # [T, E]
        return x + w.ffn(w.ffn_norm(x))  # [T, E]
