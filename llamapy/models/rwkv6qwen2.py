"""QRWKV 6 (arXiv:2501.15570): Qwen 2, whose attention was replaced by RWKV 6's recurrence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cache import Recurrent, Step
from ..nn import Block, RMSNorm, SwiGLU, block, group, w
from ..nn.rwkv import GatedLinear6
from ..ops import see
from ..tensor import Tensor
from . import _rwkv
from ._decoder import Decoder


@dataclass(frozen=True)
class Config(_rwkv.QwenConfig, _rwkv.Config6):
    """Nothing more."""


@block
class Layer(Block):
    """A norm before each block."""

    attn_norm: RMSNorm = w("E")
    time_mix: GatedLinear6 = group()
    ffn_norm: RMSNorm = w("E")
    ffn: SwiGLU = group()


class QRWKV6(Decoder):
    """Nothing attends, and nothing tells positions."""

    Config, Layer = Config, Layer
    example = _rwkv.EXAMPLE

    def state(self, index: int) -> Recurrent:
        return self.config.memory

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        x = see("ffn_inp", x + w.time_mix(w.attn_norm(x), cache, step))  # [T, E]
        return x + w.ffn(w.ffn_norm(x))  # [T, E]
