"""BLOOM: normed embeddings, LayerNorm, an ungated GELU block, and ALiBi instead of positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cache import Step
from ..nn import Block, FusedQKV, GeluMLP, LayerNorm, Linear, alibi_slopes, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import _decoder
from ._config import DecoderConfig, constant, key


@dataclass(frozen=True)
class Config(DecoderConfig):
    """How steep ALiBi is in the steepest head; 0 says that there is none."""

    norm_eps: float = key("attention.layer_norm_epsilon")
    alibi: float = constant(8.0)

    @property
    def attn_scale(self) -> float:
        """What scores are multiplied with."""
        return self.head_dim**-0.5


@block
class Ends(_decoder.Ends):
    """Embeddings are normed before the first layer."""

    token_embd_norm: LayerNorm = w("E")
    output_norm: LayerNorm = w("E")


@block
class Layer(Block):
    """A norm before each of its two halves."""

    attn_norm: LayerNorm = w("E")
    attn: FusedQKV = group()
    attn_output: Linear = w("E, H*D")
    ffn_norm: LayerNorm = w("E")
    ffn: GeluMLP = group()


class Bloom(_decoder.Decoder):
    """Keys are the same at all positions: only distances count."""

    Config, Layer, Ends = Config, Layer, Ends

    def setup(self) -> None:
        c = self.config
        self.slopes: Tensor | None = None
        if c.alibi > 0:
            self.slopes = Tensor.of(alibi_slopes(c.n_head, c.alibi), self.backend)

    def embed(self, step: Step) -> Tensor:
        return see("inp_norm", self.ends.token_embd_norm(super().embed(step)))  # [T, E]

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        x = see("ffn_inp", x + self.attention(w.attn_norm(x), w, cache, step))  # [T, E]
        return x + w.ffn(w.ffn_norm(x))  # [T, E]

    def attention(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        q, k, v = self.heads(x, w)  # [T, H, D] [T, K, D] [T, K, D]
        q, k, v = see("Qcur", q), see("Kcur", k), see("Vcur", v)
        scale = self.config.attn_scale
        y = cache.attend(q, k, v, step, scale=scale, slopes=self.slopes)  # [T, H, D]
        y = see("kqv_out", y.view(x.shape[0], y.shape[1] * y.shape[2]))  # [T, H*D]
        return see("attn_out", w.attn_output(y))  # [T, E]

    def heads(self, x: Tensor, w: Any) -> tuple[Tensor, Tensor, Tensor]:
        return w.attn(x)

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        return keys
