"""StarCoder2: LayerNorm, rope over halves, and an ungated GELU block; all with biases."""

from __future__ import annotations

from ..nn import GeluMLP, block, group
from . import orion


@block
class Layer(orion.Layer):
    """Queries, keys and values may share a matrix."""

    ffn: GeluMLP = group()


class StarCoder2(orion.Orion):
    """As Orion, but for the feed-forward block."""

    Layer = Layer
