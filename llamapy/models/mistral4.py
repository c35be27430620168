"""Mistral 4: DeepSeek 2, but for how YaRN's sharpness is divided."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn.rope import yarn_magnitude
from . import deepseek2


@dataclass(frozen=True)
class Config(deepseek2.Config):
    """What scores are sharpened by is taken from the turned parts."""

    def yarn_magnitude(self, factor: float) -> float:
        return yarn_magnitude(factor, 10 * self.yarn_sharpness)


class Mistral4(deepseek2.DeepSeek2):
    """As DeepSeek 2."""

    Config = Config
