"""Command R7B: Command R with windows; positions are told apart only in layers that have one."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn import Rope
from . import _windows, command_r
from ._config import key


@dataclass(frozen=True)
class Config(command_r.Config, _windows.Config):
    """Logits are always scaled."""

    logit_scale: float = key("logit_scale")


class Cohere2(_windows.WindowedLlama, command_r.CommandR):
    """As Command R."""

    Config = Config
    Layer = command_r.Layer

    def rope_of(self, index: int) -> Rope | None:
        return self.rope if self.config.is_windowed(index) else None
