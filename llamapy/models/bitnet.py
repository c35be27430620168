"""BitNet b1.58: Llama with norms inside of both blocks, and a scale for each ternary matrix."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..cache import Step
from ..nn import RMSNorm, SwiGLU, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import llama


@block
class NormedSwiGLU(SwiGLU):
    """down(norm(silu(gate(x)) * up(x)))"""

    ffn_sub_norm: RMSNorm = w("F")

    def __call__(self, x: Tensor) -> Tensor:
        y = see("ffn_sub_out", ops.swiglu(x, self.ffn_gate, self.ffn_up))  # [T, F]
        return self.ffn_down(self.ffn_sub_norm(y))


@block
class Layer(llama.Layer):
    """The norms are before what leads out of a block."""

    attn_sub_norm: RMSNorm = w("H*D")
    ffn: NormedSwiGLU = group()


class BitNet(llama.Llama):
    """Tied embeddings, rope over halves."""

    Layer, rotation = Layer, ops.rope_halves

    def attention(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        q, k, v = w.attn(x)  # [T, H, D] [T, K, D] [T, K, D]
        q, k = self.rotate(q, k, w, step)
        q, k, v = see("Qcur", q), see("Kcur", k), see("Vcur", v)
        y = self.attend(q, k, v, w, cache, step)  # [T, H, D]
        y = see("kqv_out", y.view(x.shape[0], y.shape[1] * y.shape[2]))  # [T, H*D]
        return see("attn_out", w.attn_output(w.attn_sub_norm(y)))  # [T, E]
