"""Qwen 3.5 with experts."""

from __future__ import annotations

from ..nn import SwiGLUExperts, block, group
from . import qwen3next, qwen35


@block
class Layer(qwen3next.Layer):
    """Experts, one of which all tokens share."""

    ffn: SwiGLUExperts = group()


@block
class RecurrentLayer(qwen35.RecurrentLayer):
    """Experts, one of which all tokens share."""

    ffn: SwiGLUExperts = group()


class Qwen35MoE(qwen35.Qwen35):
    """As Qwen 3.5."""

    Layer, RecurrentLayer = Layer, RecurrentLayer
