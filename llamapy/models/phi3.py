"""Phi 3 and 4: Llama with fused matrices, rope over halves, and other factors for long contexts.

Some files name a window. llama.cpp does not use it, for they name it wrongly, and nor do we.
"""

from __future__ import annotations

from .. import ops
from ..nn import FusedSwiGLU, block, group
from . import llama


@block
class Layer(llama.Layer):
    """Gate and up share a matrix."""

    ffn: FusedSwiGLU = group()


class Phi3(llama.Llama):
    """As Llama."""

    Layer, rotation = Layer, ops.rope_halves
