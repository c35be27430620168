"""Qwen3-VL's text: Qwen 3 with sections of rope that take turns.

What images add to the first layers (`n_deepstack_layers`) is nothing for text.
"""

from __future__ import annotations

from typing import Any

from ..cache import Step
from ..ops import see
from ..tensor import Tensor
from . import _sections, qwen3


class Qwen3VL(_sections.InterleavedLlama):
    """As Qwen 3."""

    Layer = qwen3.Layer

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        q, k = see("Qcur_normed", w.attn_q_norm(q)), see("Kcur_normed", w.attn_k_norm(k))
        return super().rotate(q, k, w, step)
