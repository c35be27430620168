"""Seed-OSS: Llama with rope over halves, and another name for the second norm."""

from __future__ import annotations

from .. import ops
from ..nn import RMSNorm, SwiGLU, block, group, w
from . import llama


@block
class Layer(llama.Layer):
    """The norm named after attention is what other files call the feed-forward block's."""

    ffn_norm: RMSNorm = w("E", name="post_attention_norm")
    ffn: SwiGLU = group()


class SeedOSS(llama.Llama):
    """As Llama."""

    Layer, rotation = Layer, ops.rope_halves
