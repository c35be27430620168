"""Qwen2-VL's text: Qwen 2 with sections of rope."""

from __future__ import annotations

from dataclasses import dataclass

from . import _sections, qwen2
from ._config import key


@dataclass(frozen=True)
class Config(_sections.Config):
    """llama.cpp does not read how small a variance counts as none, and computes with 0."""

    norm_eps: float = key("attention.layer_norm_rms_epsilon", 0.0)


class Qwen2VL(_sections.SectionedLlama):
    """As Qwen 2."""

    Config, Layer = Config, qwen2.Layer
