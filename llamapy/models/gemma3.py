"""Gemma 3: Gemma 2 with norms on heads instead of capped scores, and its own rope in windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cache import Step
from ..nn import RMSNorm, Rope, block, w
from ..ops import see
from ..tensor import Tensor
from . import _windows, gemma2
from ._config import constant, key, layer_key


@dataclass(frozen=True)
class Config(gemma2.Config):
    """Of six layers, five see a window. Without a window, all layers see everything."""

    window: int = key("attention.sliding_window", 0)
    window_pattern: int | bool = layer_key("attention.sliding_window_pattern", 6)
    window_rope_base: float = key("rope.freq_base_swa", 10_000.0)
    attn_softcap: float | None = constant(None)
    final_softcap: float = key("final_logit_softcapping", 0.0)  # 0 says that there is none

    @property
    def attn_scale(self) -> float:
        """The model of 27B counts by the embedding's share of a head, not by the head's size."""
        is_27b = self.n_layer == 62
        return (self.n_embd // self.n_head if is_27b else self.head_dim) ** -0.5


@block
class Layer(gemma2.Layer):
    """Heads are normed before they are turned."""

    attn_q_norm: RMSNorm = w("D")
    attn_k_norm: RMSNorm = w("D")


class Gemma3(gemma2.Gemma2):
    """As Gemma 2; in windows, rope is not scaled to long contexts."""

    Config, Layer = Config, Layer

    def make_window_rope(self) -> Rope:
        return _windows.WindowedLlama.make_window_rope(self)

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        q, k = see("Qcur_normed", w.attn_q_norm(q)), see("Kcur_normed", w.attn_k_norm(k))
        return super().rotate(q, k, w, step)
