"""Talkie: Llama with norms that have no weights; each layer adds the embeddings once more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..cache import Step
from ..nn import Block, Embedding, FusedQKV, Linear, SplitQKV, SwiGLU, block, group, w
from ..ops import scope, see
from ..tensor import Tensor
from . import llama
from ._config import key


@dataclass(frozen=True)
class Config(llama.Config):
    """Logits are scaled."""

    logit_scale: float = key("logit_scale")


@block
class Ends(Block):
    """No norm."""

    token_embd: Embedding = w("V, E")
    output: Linear = w("V, E")


@block
class Layer(Block):
    """How much each query head counts, and how much the embeddings do."""

    attn: SplitQKV | FusedQKV = group()
    attn_q_norm: Tensor = w("H, 1")
    attn_output: Linear = w("E, H*D")
    ffn: SwiGLU = group()
    layer_output_scale: Tensor = w("1")


class Talkie(llama.Llama):
    """Rope over halves; queries and keys are normed after they are turned."""

    Config, Layer, Ends, rotation = Config, Layer, Ends, ops.rope_halves

    def setup(self) -> None:
        super().setup()
        for layer in self.layers:
            gains = np.repeat(layer.attn_q_norm.numpy(), self.config.head_dim)  # [H*D]
            layer.gains = Tensor.of(gains, self.backend)

    def __call__(self, step: Step) -> Tensor | None:
        step.begin()
        start = x = see("inp_norm", self.norm(self.embed(step)))  # [T, E]
        for index, (layer, cache) in enumerate(zip(self.layers, step.states, strict=True)):
            with scope(f"blk.{index}."):
                x, start = self.at(x, index), self.at(start, index)
                again = see("embd_skip", ops.mul_scalar(start, layer.layer_output_scale))
                x = see("l_out", self.layer(x, layer, cache, step) + again)  # [T, E]
        if not step.outputs.size:
            return None
        x = self.at_output(ops.lookup(step.outputs, x))  # [O, E]
        return see("result_output", self.head(x))  # [O, V]

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = self.attention(see("attn_norm", self.norm(x)), w, cache, step)
        x = see("ffn_inp", x + y)  # [T, E]
        return x + w.ffn(see("ffn_norm", self.norm(x)))  # [T, E]

    def norm(self, x: Tensor) -> Tensor:
        return ops.rms_norm(x, None, eps=self.config.norm_eps)

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        q, k = super().rotate(q, k, w, step)
        t, h, d = q.shape
        q = ops.mul_columns(self.norm(q).view(t, h * d), w.gains).view(t, h, d)
        return q, self.norm(k)

    def head(self, x: Tensor) -> Tensor:
        x = see("result_norm", self.norm(x))  # [O, E]
        return ops.scale(self.output(x), by=self.config.logit_scale)  # [O, V]
