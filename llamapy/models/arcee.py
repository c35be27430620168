"""Arcee: Llama with a feed-forward block that is not gated, but squared."""

from __future__ import annotations

from ..nn import ReluSquaredMLP, block, group
from . import llama


@block
class Layer(llama.Layer):
    """Dense."""

    ffn: ReluSquaredMLP = group()


class Arcee(llama.Llama):
    """As Llama."""

    Layer = Layer
