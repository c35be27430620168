"""Qwen3-VL's text with experts."""

from __future__ import annotations

from dataclasses import dataclass

from . import _sections, qwen3moe, qwen3vl


@dataclass(frozen=True)
class Config(qwen3moe.Config, _sections.Config):
    """The size of experts, and sections."""


class Qwen3VLMoE(qwen3vl.Qwen3VL):
    """As Qwen3-VL."""

    Config, Layer = Config, qwen3moe.Layer
