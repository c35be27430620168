"""Muse Glimmer: windows, AFMoE without experts, and with more norms, also on the embedding."""

from __future__ import annotations

from dataclasses import dataclass

from .. import ops
from ..cache import Step
from ..nn import RMSNorm, Rope, SwiGLU, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import _windows, afmoe
from ._config import key


@dataclass(frozen=True)
class Config(_windows.Config):
    """Logits are scaled, and capped unless the cap is 0."""

    logit_scale: float = key("logit_scale")
    final_softcap: float = key("final_logit_softcapping", 30.0)


@block
class PostNorm(RMSNorm):
    """A norm after a block: even the smallest variance counts as one."""

    def __call__(self, x: Tensor) -> Tensor:
        return see(self.name, ops.rms_norm(x, self.weight, eps=1e-8))


@block
class Layer(afmoe.Layer):
    """Dense."""

    post_attention_norm: PostNorm = w("E")
    ffn: SwiGLU = group()
    post_ffw_norm: PostNorm = w("E")


class MuseGlimmer(afmoe.AFMoE):
    """As AFMoE, but rope turns neighbours, and only in layers with a window."""

    Config, Layer, rotation = Config, Layer, ops.rope_pairs

    def embed(self, step: Step) -> Tensor:
        x = see("embd", self.ends.token_embd(step.tokens))  # [T, E]
        return see("embd_norm", ops.rms_norm(x, None, eps=self.config.norm_eps))

    def make_window_rope(self) -> Rope:
        return _windows.WindowedLlama.make_window_rope(self)

    def rope_of(self, index: int) -> Rope | None:
        return self.window_rope if self.config.is_windowed(index) else None

    def head(self, x: Tensor) -> Tensor:
        c = self.config
        logits = ops.scale(super().head(x), by=c.logit_scale)  # [O, V]
        return ops.softcap(logits, cap=c.final_softcap) if c.final_softcap else logits
