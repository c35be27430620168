"""ARWKV 7 (arXiv:2501.15570): Qwen 2.5, whose attention was replaced by RWKV 7's recurrence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cache import Step
from ..nn import Block, RMSNorm, SwiGLU, block, group, w
from ..nn.rwkv7 import LaterTimeMix7, TimeMix7
from ..tensor import Tensor
from . import _rwkv, rwkv7
from ._decoder import Decoder, Ends


@dataclass(frozen=True)
class Config(_rwkv.QwenConfig, _rwkv.Config7):
    """Nothing more."""


@block
class FirstLayer(Block):
    """A norm before each block."""

    attn_norm: RMSNorm = w("E")
    time_mix: TimeMix7 = group()
    ffn_norm: RMSNorm = w("E")
    ffn: SwiGLU = group()


@block
class Layer(FirstLayer):
    """With what mixes the first layer's values in."""

    time_mix: LaterTimeMix7 = group()


class ARWKV7(rwkv7.RWKV7):
    """As RWKV 7, but for norms and feed-forward blocks."""

    Config, Layer, FirstLayer, Ends = Config, Layer, FirstLayer, Ends
    embed = Decoder.embed

    def feed_forward(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        return x + w.ffn(w.ffn_norm(x))  # [T, E]
