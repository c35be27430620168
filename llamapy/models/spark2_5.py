"""Spark 2.5: Llama with windows, GeGLU, and a gate for each head of attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import GeGLU, Linear, Rope, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import _windows, llama
from ._config import layer_key


@dataclass(frozen=True)
class Config(_windows.Config):
    """The file says of each layer whether it has a window."""

    window_pattern: bool | int = layer_key("attention.sliding_window_pattern")


@block
class Layer(llama.Layer):
    """One gate for each head."""

    attn_gate: Linear = w("H, E")
    ffn: GeGLU = group()


class Spark(_windows.WindowedLlama):
    """Rope over halves; windows have their own base."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves

    def make_window_rope(self) -> Rope:
        return self.make_rope(self.config.window_rope_base, self.config.window_rope_dim)

    def attention(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        q, k, v = self.heads(x, w)  # [T, H, D] [T, K, D] [T, K, D]
        q, k, v = see("Qcur", q), see("Kcur", k), see("Vcur", v)
        q, k = self.rotate(q, k, w, step)
        y = self.attend(see("Qcur_rope", q), see("Kcur_rope", k), v, w, cache, step)  # [T, H, D]
        y = ops.mul_heads(y, see("attn_gate", ops.sigmoid(w.attn_gate(x))))  # [T, H, D]
        y = see("attn_gated", y.view(x.shape[0], y.shape[1] * y.shape[2]))  # [T, H*D]
        return see("attn_out_proj", w.attn_output(y))  # [T, E]
