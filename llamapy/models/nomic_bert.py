"""Nomic Embed: BERT with rope over halves, and SwiGLU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import SwiGLU, block, group
from ..tensor import Tensor
from . import bert
from ._config import key
from ._decoder import RopeDecoder
from ._encoder import RopeEncoderConfig


@dataclass(frozen=True)
class Config(RopeEncoderConfig):
    """The variance of a LayerNorm has another key."""

    norm_eps: float = key("attention.layer_norm_epsilon")


@block
class Layer(bert.Layer):
    """Gated."""

    ffn: SwiGLU = group()


class NomicBert(bert.Bert, RopeDecoder):
    """Queries and keys are turned, so no position has a vector of its own."""

    Config, Layer, Ends, rotation = Config, Layer, bert.BareEnds, ops.rope_halves

    def embed(self, step: Step) -> Tensor:
        return self.ends.token_embd_norm(self.typed(step))  # [T, E]

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        return self.rope(q, step.positions), self.rope(k, step.positions)
