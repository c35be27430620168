"""Qwen3: Llama with a norm on every query and key head, and rope over halves."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..cache import Step
from ..nn import RMSNorm, SwiGLU, block, group, w
from ..tensor import Tensor
from . import llama


@block
class Layer(llama.Layer):
    """Heads are normed before they are turned."""

    attn_q_norm: RMSNorm = w("D")
    attn_k_norm: RMSNorm = w("D")
    ffn: SwiGLU = group()


class Qwen3(llama.Llama):
    """As Llama, but for the two norms."""

    Layer, rotation = Layer, ops.rope_halves

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        return super().rotate(w.attn_q_norm(q), w.attn_k_norm(k), w, step)
