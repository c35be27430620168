"""MiniCPM 1 and 2: Granite with scales that older files do not state."""

from __future__ import annotations

from dataclasses import dataclass

from . import granite
from ._config import constant, key


@dataclass(frozen=True)
class Config(granite.Config):
    """Without keys, the scales are those of the first model. Positions always count."""

    logit_scale: float = key("logit_scale", lambda c: 256 / c.n_embd)
    residual_scale: float = key("residual_scale", lambda c: 1.4 / c.n_block**0.5)
    embedding_scale: float = key("embedding_scale", 12.0)
    attention_scale: float = constant(0.0)
    turned: bool = constant(True)


class MiniCPM(granite.Granite):
    """As Granite."""

    Config = Config
