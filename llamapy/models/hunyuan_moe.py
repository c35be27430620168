"""Hunyuan with experts, and one that all tokens share."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn import SwiGLUExperts, block, group
from . import hunyuan_dense, llama, qwen3
from ._config import layer_key


@dataclass(frozen=True)
class Config(llama.Config):
    """An expert is as large as a dense block would be."""

    n_ff_expert: int = layer_key("feed_forward_length")

    @property
    def grown_base(self) -> float:
        """Of rope: as the file says it."""
        return self.rope_base


@block
class Layer(qwen3.Layer):
    """Experts in every layer."""

    ffn: SwiGLUExperts = group()


class HunyuanMoE(hunyuan_dense.Hunyuan):
    """As Hunyuan: heads are turned before they are normed."""

    Config, Layer = Config, Layer
