"""Ling 1: DeepSeek's experts, whose weights the file may want normalized."""

from __future__ import annotations

from dataclasses import dataclass

from . import deepseek
from ._config import key


@dataclass(frozen=True)
class Config(deepseek.Config):
    """Scores are scaled by as much of a head as is turned."""

    expert_norm: bool = key("expert_weights_norm", False)

    @property
    def attn_scale(self) -> float:
        return self.rope_dim**-0.5


class BailingMoE(deepseek.DeepSeek):
    """As DeepSeek."""

    Config = Config
