"""Jais: BLOOM with SwiGLU, and scores divided by the size of a head, not by its root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..cache import Step
from ..nn import Block, LayerNorm, SwiGLU, block, group, w
from ..tensor import Tensor
from . import _decoder, bloom
from ._config import key


@dataclass(frozen=True)
class Config(bloom.Config):
    """Files say how steep ALiBi is."""

    alibi: float = key("attention.max_alibi_bias", 0.0)

    @property
    def attn_scale(self) -> float:
        return 1 / self.head_dim


@block
class Ends(_decoder.Ends):
    """Embeddings are not normed."""

    output_norm: LayerNorm = w("E")


@block
class Layer(bloom.Layer):
    """Gated."""

    ffn: SwiGLU = group()


class Jais(bloom.Bloom):
    """As BLOOM."""

    Config, Layer = Config, Layer
    Ends: ClassVar[type[Block]] = Ends

    def embed(self, step: Step) -> Tensor:
        return _decoder.Decoder.embed(self, step)
