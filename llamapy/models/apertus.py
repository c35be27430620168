"""Apertus: Qwen 3 with an activation of its own, xIELU, and no gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import ops
from ..nn import Block, Linear, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import llama, qwen3
from ._config import layer_key


@dataclass(frozen=True)
class Config(llama.Config):
    """How each layer's activation bends; the curvatures are stored as what softplus makes them."""

    xielu_negative: float = layer_key("xielu.alpha_n")
    xielu_positive: float = layer_key("xielu.alpha_p")
    xielu_slope: float = layer_key("xielu.beta")
    xielu_eps: float = layer_key("xielu.eps")

    @classmethod
    def read(cls, architecture: str, metadata: Mapping[str, Any]) -> Config:
        """Files have these four keys without the architecture's name."""
        own = {f"{architecture}.{k}": v for k, v in metadata.items() if k.startswith("xielu.")}
        return super().read(architecture, {**metadata, **own})


@block
class XIELU(Block):
    """down(xielu(up(x)))"""

    ffn_up: Linear = w("F, E")
    ffn_down: Linear = w("E, F")

    def __call__(self, x: Tensor) -> Tensor:
        c = self.config
        y = ops.xielu(
            self.ffn_up(x),
            positive=softplus(c.xielu_positive),
            negative=c.xielu_slope + softplus(c.xielu_negative),
            slope=c.xielu_slope,
            eps=c.xielu_eps,
        )
        return see("ffn_out", self.ffn_down(see("ffn_xielu", y)))


@block
class Layer(qwen3.Layer):
    """Heads are normed before they are turned."""

    ffn: XIELU = group()


class Apertus(qwen3.Qwen3):
    """As Qwen 3."""

    Config, Layer = Config, Layer


def softplus(x: float) -> float:
    """log(1 + exp(x)), for large numbers too."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
