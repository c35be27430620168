"""Mamba: layers of one kind, a state space each, and nothing that attends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Recurrent, Step
from ..nn import Block, Mamba, RMSNorm, block, group, w
from ..tensor import Tensor
from ._config import DecoderConfig, constant, key
from ._decoder import Decoder
from ._mamba import MambaConfig


@dataclass(frozen=True)
class Plain(DecoderConfig):
    """Files say something of heads and of feed-forward blocks, though there are none."""

    n_ff: int = constant(0)
    n_head: int = constant(0)
    n_head_kv: int = constant(0)
    head_dim: int = constant(0)
    value_dim: int = constant(0)


@dataclass(frozen=True)
class Config(MambaConfig, Plain):
    """FalconMamba norms what a token says of its selection."""

    norms_selection: bool = key("ssm.dt_b_c_rms", False)


@block
class Selective(Mamba):
    """The norms of FalconMamba have no weights."""

    def selection(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dt, b, c = super().selection(x)
        if not self.config.norms_selection:
            return dt, b, c
        eps = self.config.norm_eps
        return (
            ops.rms_norm(dt, None, eps=eps),
            ops.rms_norm(b, None, eps=eps),
            ops.rms_norm(c, None, eps=eps),
        )


@block
class Layer(Block):
    """A norm, and a state space."""

    attn_norm: RMSNorm = w("E")
    mamba: Selective = group()


class MambaModel(Decoder):
    """What a layer gives is added to what it got."""

    Config, Layer = Config, Layer

    def state(self, index: int) -> Recurrent:
        return self.config.memory

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        return x + w.mamba(w.attn_norm(x), cache, step)  # [T, E]
