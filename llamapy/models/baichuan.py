"""Baichuan: Llama, whose larger model has ALiBi instead of turned heads."""

from __future__ import annotations

from typing import Any

from ..cache import Step
from ..nn import SwiGLU, alibi_slopes, block, group
from ..tensor import Tensor
from . import llama

LAYERS_OF_7B, LAYERS_OF_13B = 32, 40  # files tell the models apart by nothing else


@block
class Layer(llama.Layer):
    """Dense."""

    ffn: SwiGLU = group()


class Baichuan(llama.Llama):
    """As Llama. A model of another size is computed without positions, as llama.cpp does."""

    Layer = Layer

    def setup(self) -> None:
        super().setup()
        c = self.config
        self.is_turned = c.n_layer == LAYERS_OF_7B
        self.slopes: Tensor | None = None
        if c.n_layer == LAYERS_OF_13B:
            self.slopes = Tensor.of(alibi_slopes(c.n_head), self.backend)

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        return super().rotate(q, k, w, step) if self.is_turned else (q, k)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        scale = self.config.attn_scale
        return cache.attend(q, k, v, step, scale=scale, slopes=self.slopes)

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        return super().move(index, keys, by) if self.is_turned else keys
