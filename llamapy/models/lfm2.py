"""LFM2: Qwen3, with a gated short convolution in most layers instead of attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..cache import KV, Recurrent
from ..nn import Block, RMSNorm, ShortConv, SwiGLU, block, group, w
from . import llama, qwen3
from ._config import key
from ._decoder import RopeEnds
from ._hybrid import HybridLlama, head_size


@dataclass(frozen=True)
class Config(llama.Config):
    """Attention may see a window only; a convolution always sees few tokens."""

    head_dim: int = key("attention.key_length", head_size)
    window: int = key("attention.sliding_window", 0)
    n_conv: int = key("shortconv.l_cache")

    @property
    def memory(self) -> Recurrent:
        """What a layer remembers that does not attend."""
        return Recurrent(conv=(self.n_conv - 1, self.n_embd))

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "W": self.n_conv}


@block
class RecurrentLayer(Block):
    """As Qwen3's, with a convolution."""

    attn_norm: RMSNorm = w("E")
    recurrence: ShortConv = group()
    ffn_norm: RMSNorm = w("E")
    ffn: SwiGLU = group()


@block
class Ends(RopeEnds):
    """The last norm has the name of one for embeddings."""

    output_norm: RMSNorm = w("E", name="token_embd_norm")


class LFM2(HybridLlama, qwen3.Qwen3):
    """As Qwen3, but for what does not attend."""

    Config, RecurrentLayer, Ends = Config, RecurrentLayer, Ends
    Layer = qwen3.Layer
    example: ClassVar[dict[str, Any]] = {
        "attention.head_count_kv": [0, 2, 0],
        "shortconv.l_cache": 3,
    }

    def state(self, index: int) -> Any:
        c = self.config.at(index)
        if not c.n_head_kv:
            return c.memory
        return KV(c.n_head_kv, c.head_dim, c.value_dim, window=c.window or None)
