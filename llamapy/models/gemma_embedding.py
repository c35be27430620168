"""EmbeddingGemma: Gemma 3 as an encoder, with windows to both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cache.whole import Whole
from ..nn import Block, Embedding, Linear, RMSNorm, block, w
from ..ops import see
from ..tensor import Tensor
from . import gemma3
from ._config import expect, key
from ._encoder import Encoder


@dataclass(frozen=True)
class Config(gemma3.Config):
    """No causal mask, and always a window."""

    causal: bool = expect("attention.causal", False)
    window: int = key("attention.sliding_window")

    @property
    def attn_scale(self) -> float:
        return self.head_dim**-0.5


@block
class Ends(Block):
    """Files may have two more projections behind the last norm."""

    token_embd: Embedding = w("V, E")
    output_norm: RMSNorm = w("E")
    dense_2: Linear | None = w("Y, E")
    dense_3: Linear | None = w("E, Z")


class GemmaEmbedding(Encoder, gemma3.Gemma3):
    """As Gemma 3."""

    Config, Layer, Ends = Config, gemma3.Layer, Ends

    def state(self, index: int) -> Any:
        """Half of a window lies to each side."""
        c = self.config
        return Whole(c.window // 2 if c.is_windowed(index) else None)

    def head(self, x: Tensor) -> Tensor:
        """Projections of means are means of projections, so they need not wait for pooling."""
        x = super().head(x)  # [O, E]
        for dense in (self.ends.dense_2, self.ends.dense_3):
            x = x if dense is None else dense(x)
        return see("result_embd", x)  # [O, E]
