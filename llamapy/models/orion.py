"""Orion: Llama with LayerNorm, and rope over halves."""

from __future__ import annotations

from dataclasses import dataclass

from .. import ops
from ..nn import LayerNorm, SwiGLU, block, group, w
from . import llama
from ._config import key
from ._decoder import RopeEnds


@dataclass(frozen=True)
class Config(llama.Config):
    """The variance of a LayerNorm has another key."""

    norm_eps: float = key("attention.layer_norm_epsilon")


@block
class Layer(llama.Layer):
    """No experts."""

    attn_norm: LayerNorm = w("E")
    ffn_norm: LayerNorm = w("E")
    ffn: SwiGLU = group()


@block
class Ends(RopeEnds):
    """The last norm is one, too."""

    output_norm: LayerNorm = w("E")


class Orion(llama.Llama):
    """As Llama."""

    Config, Layer, Ends, rotation = Config, Layer, Ends, ops.rope_halves
