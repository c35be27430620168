"""ChatGLM 3 and 4: Llama with one matrix for gate and up; only a part of each head turns."""

from __future__ import annotations

from ..nn import FusedSwiGLU, block, group
from . import llama


@block
class Layer(llama.Layer):
    """Dense."""

    ffn: FusedSwiGLU = group()


class ChatGLM(llama.Llama):
    """As Llama."""

    Layer = Layer
