"""MiniCPM 3: latent attention, and embeddings, residuals and the last hidden state scaled."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..cache import Step
from ..nn import SwiGLU, block, group
from ..ops import see
from ..tensor import Tensor
from ._latent import LatentConfig, LatentLayer, LatentLlama

# of the model that the scales were found with; files do not say them
EMBEDDING, DEPTH, BASE_WIDTH = 12.0, 1.4, 256


@block
class Layer(LatentLayer):
    """Dense."""

    ffn: SwiGLU = group()


class MiniCPM3(LatentLlama):
    """Rope over halves, with other factors for long contexts."""

    Config, Layer, rotation = LatentConfig, Layer, ops.rope_halves

    def embed(self, step: Step) -> Tensor:
        return see("inp_scaled", ops.scale(super().embed(step), by=EMBEDDING))

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        by = DEPTH * self.config.n_layer**-0.5
        y = see("hidden_scaled", ops.scale(self.attention(w.attn_norm(x), w, cache, step), by=by))
        x = see("ffn_inp", x + y)  # [T, E]
        return x + see("hidden_scaled_ffn", ops.scale(w.ffn(w.ffn_norm(x)), by=by))  # [T, E]

    def head(self, x: Tensor) -> Tensor:
        x = see("result_norm", self.ends.output_norm(x))  # [O, E]
        x = see("lmhead_scaling", ops.scale(x, by=BASE_WIDTH / self.config.n_embd))
        return self.output(x)  # [O, V]
