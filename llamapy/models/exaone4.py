"""EXAONE 4: OLMo 2 with norms on single heads; the large model has windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cache import Step
from ..nn import RMSNorm, Rope, block, w
from ..ops import see
from ..tensor import Tensor
from . import _windows, olmo2
from ._config import key


@dataclass(frozen=True)
class Config(_windows.Config):
    """Only the model of 32B has windows, whatever the file says: its 64 layers tell it."""

    window: int = key("attention.sliding_window", 4096)

    @property
    def has_windows(self) -> bool:
        return self.n_layer == 64

    def is_windowed(self, layer: int) -> bool:
        return self.has_windows and super().is_windowed(layer)


@block
class Layer(olmo2.Layer):
    """Heads are normed before they are turned."""

    attn_q_norm: RMSNorm = w("D")
    attn_k_norm: RMSNorm = w("D")


class Exaone4(olmo2.OLMo2):
    """Where there are windows, layers without one do not tell positions apart."""

    Config, Layer = Config, Layer

    def rope_of(self, index: int) -> Rope | None:
        c = self.config
        return self.rope if c.is_windowed(index) or not c.has_windows else None

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        q, k = see("Qcur_normed", w.attn_q_norm(q)), see("Kcur_normed", w.attn_k_norm(k))
        return _windows.WindowedLlama.rotate(self, q, k, w, step)
