"""EXAONE with experts: norms on heads, windows, and rope only in layers that have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import RMSNorm, Rope, StatedSwiGLUExperts, SwiGLU, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import _windows, llama
from ._config import StatedExpertsConfig, key, layer_key


@dataclass(frozen=True)
class Config(StatedExpertsConfig, _windows.Config):
    """Files say how experts are scored."""

    n_ff_expert: int = layer_key("expert_feed_forward_length")
    expert_gating: int = key("expert_gating_func")


@block
class Layer(llama.Layer):
    """The first layers are dense."""

    attn_q_norm: RMSNorm = w("D")
    attn_k_norm: RMSNorm = w("D")
    ffn: StatedSwiGLUExperts | SwiGLU = group()


class ExaoneMoE(_windows.WindowedLlama):
    """Rope over halves, the same in all layers that have it."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves

    def rope_of(self, index: int) -> Rope | None:
        return self.rope if self.config.is_windowed(index) else None

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        q, k = see("Qcur_normed", w.attn_q_norm(q)), see("Kcur_normed", w.attn_k_norm(k))
        return super().rotate(q, k, w, step)
