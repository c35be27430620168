"""LLaDA: Llama for diffusion. Every token sees all others, and nothing is remembered."""

from __future__ import annotations

from . import dream, llama, qwen2
from ._encoder import WholeSequences


class LLaDA(WholeSequences, llama.Llama):
    """As Llama, dense."""

    Config, Layer = dream.Config, qwen2.Layer
