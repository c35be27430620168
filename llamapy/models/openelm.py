"""OpenELM: Qwen 3 with one matrix for queries, keys and values; deeper layers have more heads."""

from __future__ import annotations

from ..nn import FusedQKV, SwiGLU, block, group
from . import qwen3


@block
class Layer(qwen3.Layer):
    """Dense."""

    attn: FusedQKV = group()
    ffn: SwiGLU = group()


class OpenELM(qwen3.Qwen3):
    """As Qwen 3."""

    Layer = Layer
