"""DeepSeek 2 and 3, Kimi K2, GLM 4.7 Flash: latent attention, and experts beside shared ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import StatedSwiGLUExperts, SwiGLU, block, group
from ..nn.rope import yarn_magnitude
from ..tensor import Tensor
from ._config import DecoderConfig, StatedExpertsConfig, key, layer_key
from ._latent import LatentConfig, LatentLayer, LatentLlama


@dataclass(frozen=True)
class VocabularyConfig(DecoderConfig):
    """How many tokens there are, which tells models apart."""

    n_vocab: int = key("vocab_size", 0)


def _gating(c: Any) -> int:
    """The kind of router of files that do not say: GLM 4.7 Flash has sigmoids, others a softmax."""
    is_glm = c.n_block - c.n_nextn in (47, 48) and c.n_vocab == 154880
    return 2 if is_glm else 1


@dataclass(frozen=True)
class Config(StatedExpertsConfig, LatentConfig, VocabularyConfig):
    """YaRN sharpens attention here by the scale of scores; queries may grow with the position."""

    n_ff_expert: int = layer_key("expert_feed_forward_length")
    expert_gating: int = key("expert_gating_func", _gating)
    yarn_sharpness: float = key("rope.scaling.yarn_log_multiplier", 0.0)  # ten times smaller
    temperature: float = key("attention.temperature_scale", 0.0)  # 0 says that there is none
    temperature_period: int = key("attention.temperature_length", 0)

    @property
    def attn_scale(self) -> float:
        factor = 1.0 if self.rope_scaling == "none" else self.rope_factor or 1.0
        sharpness = 1 + self.yarn_sharpness * math.log(factor)
        is_yarn = self.rope_scaling == "yarn"
        enlarged = self.yarn_magnitude(factor) if is_yarn else 1 + 0.1 * math.log(factor)
        return (sharpness * enlarged * self.rope_attn_factor) ** 2 * super().attn_scale

    def yarn_magnitude(self, factor: float) -> float:
        """How much YaRN enlarges the turned parts: not at all, if scores are to be sharpened."""
        return 1.0 if self.yarn_sharpness else yarn_magnitude(factor)


@block
class Layer(LatentLayer):
    """Experts, or dense: the file has the one or the other."""

    ffn: StatedSwiGLUExperts | SwiGLU = group()


class DeepSeek2(LatentLlama):
    """Rope over neighbours."""

    Config, Layer = Config, Layer

    def yarn_magnitude(self, factor: float) -> float:
        return float(self.config.yarn_magnitude(factor))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        c = self.config
        if c.temperature:
            period = c.temperature_period
            q = ops.grow_far(q, step.positions, strength=c.temperature, period=period)
        return super().attend(q, k, v, w, cache, step)
