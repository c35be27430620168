"""Gemma 1: Llama with scaled embeddings, GeGLU, and rope over halves."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..cache import Step
from ..nn import GeGLU, block, group
from ..ops import see
from ..tensor import Tensor
from . import llama


@block
class Layer(llama.Layer):
    """Dense."""

    ffn: GeGLU = group()


class Gemma(llama.Llama):
    """Tied embeddings."""

    Layer, rotation = Layer, ops.rope_halves

    def embed(self, step: Step) -> Tensor:
        return see("inp_scaled", ops.scale(super().embed(step), by=self.config.n_embd**0.5))

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        x = see("sa_out", x + self.attention(w.attn_norm(x), w, cache, step))  # [T, E]
        return x + w.ffn(w.ffn_norm(x))  # [T, E]
