"""DeepSeek OCR's language model: DeepSeek 2's experts under plain attention."""

from __future__ import annotations

from dataclasses import dataclass

from .. import ops
from ..nn import StatedSwiGLUExperts, SwiGLU, block, group
from . import llama
from ._config import StatedExpertsConfig, expect, key, layer_key


@dataclass(frozen=True)
class Config(StatedExpertsConfig, llama.Config):
    """Rope has no scaling."""

    n_ff_expert: int = layer_key("expert_feed_forward_length")
    expert_gating: int = key("expert_gating_func", 1)
    rope_base: float = expect("rope.freq_base", 10_000.0)
    rope_factor: float = expect("rope.scaling.factor", 1.0)


@block
class Layer(llama.Layer):
    """Experts, or dense: the file has the one or the other."""

    ffn: StatedSwiGLUExperts | SwiGLU = group()


class DeepSeekOCR(llama.Llama):
    """Rope over halves."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves
