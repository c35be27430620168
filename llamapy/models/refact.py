"""Refact: Llama with ALiBi instead of turned heads."""

from __future__ import annotations

from typing import Any

from ..cache import Step
from ..nn import Block, ExpertLinear, Linear, SwiGLU, alibi_slopes, block, group, w
from ..ops import see, silu
from ..tensor import Tensor
from . import llama


@block
class UnusedExperts(Block):
    """llama.cpp loads the experts of such a file, and then computes an activation only."""

    ffn_gate_inp: Linear = w("X, E")
    ffn_gate_exps: ExpertLinear | None = w("X, M, E")
    ffn_up_exps: ExpertLinear = w("X, M, E")
    ffn_down_exps: ExpertLinear = w("X, E, M")

    def __call__(self, x: Tensor) -> Tensor:
        return see("ffn_out", silu(x))


@block
class Layer(llama.Layer):
    """Dense; no model has experts."""

    ffn: SwiGLU | UnusedExperts = group()


class Refact(llama.Llama):
    """Keys are the same at all positions: only distances count."""

    Layer = Layer

    def setup(self) -> None:
        self.slopes = Tensor.of(alibi_slopes(self.config.n_head), self.backend)

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        return q, k

    def attend(self, q: Tensor, k: Tensor, v: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        scale = self.config.attn_scale
        return cache.attend(q, k, v, step, scale=scale, slopes=self.slopes)

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        return keys
