"""Nemotron 3 and 4: StarCoder2 with a squared ReLU; rope may turn a part of each head."""

from __future__ import annotations

from ..nn import ReluSquaredMLP, block, group
from . import orion


@block
class Layer(orion.Layer):
    """The feed-forward block has no gate."""

    ffn: ReluSquaredMLP = group()


class Nemotron(orion.Orion):
    """As Orion, but for the feed-forward block."""

    Layer = Layer
