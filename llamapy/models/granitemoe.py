"""Granite with experts, or without; there may be one that all tokens share."""

from __future__ import annotations

from dataclasses import dataclass

from . import granite
from ._config import constant, layer_key


@dataclass(frozen=True)
class Config(granite.Config):
    """Positions are always told."""

    n_ff_expert: int = layer_key("feed_forward_length")
    turned: bool = constant(True)


class GraniteMoE(granite.Granite):
    """As Granite."""

    Config = Config
