"""SmolLM 3: Llama in which every fourth layer knows no positions."""

from __future__ import annotations

from typing import Any

from ..cache import Step
from ..nn import SwiGLU, block, group
from ..tensor import Tensor
from . import llama

UNTURNED = 4


@block
class Layer(llama.Layer):
    """Dense."""

    ffn: SwiGLU = group()


class SmolLM3(llama.Llama):
    """The last layer of every four does not turn its queries and keys."""

    Layer = Layer

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        if (w.index + 1) % UNTURNED == 0:
            return q, k
        return super().rotate(q, k, w, step)

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        return keys if (index + 1) % UNTURNED == 0 else super().move(index, keys, by)
