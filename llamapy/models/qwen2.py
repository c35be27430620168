"""Qwen 2, EXAONE and openPangu: Llama without experts, and rope over halves."""

from __future__ import annotations

from .. import ops
from ..nn import SwiGLU, block, group
from . import llama


@block
class Layer(llama.Layer):
    """Dense."""

    ffn: SwiGLU = group()


class Qwen2(llama.Llama):
    """As Llama. Qwen has biases on queries, keys and values."""

    Layer, rotation = Layer, ops.rope_halves
