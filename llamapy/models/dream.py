"""Dream: Qwen 2 for diffusion. Every token sees all others, and nothing is remembered."""

from __future__ import annotations

from dataclasses import dataclass

from . import llama, qwen2
from ._config import expect
from ._encoder import WholeSequences


@dataclass(frozen=True)
class Config(llama.Config):
    """No causal mask."""

    causal: bool = expect("attention.causal", False)


class Dream(WholeSequences, qwen2.Qwen2):
    """As Qwen 2."""

    Config = Config
