"""GPT-2 and StarCoder: a learned vector for each position, LayerNorm, an ungated GELU block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cache import Step
from ..errors import UnsupportedError
from ..nn import Block, Embedding, FusedQKV, GeluMLP, LayerNorm, Linear, SplitQKV, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import _decoder
from ._config import DecoderConfig, key


@dataclass(frozen=True)
class Config(DecoderConfig):
    """As many positions as the context has."""

    norm_eps: float = key("attention.layer_norm_epsilon")

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "N": self.n_ctx}


@block
class Ends(_decoder.Ends):
    """Positions are looked up like tokens."""

    position_embd: Embedding = w("N, E")
    output_norm: LayerNorm = w("E")


@block
class Layer(Block):
    """A norm before each of its two halves."""

    attn_norm: LayerNorm = w("E")
    attn: FusedQKV | SplitQKV = group()
    attn_output: Linear = w("E, H*D")
    ffn_norm: LayerNorm = w("E")
    ffn: GeluMLP = group()


class GPT2(_decoder.Decoder):
    """Tokens cannot be moved to other positions: their hidden states contain them."""

    Config, Layer, Ends = Config, Layer, Ends

    def setup(self) -> None:
        if self.n_ctx > self.config.n_ctx:
            raise UnsupportedError(
                f"n_ctx is {self.n_ctx}, and this model has learned {self.config.n_ctx} positions: "
                f"pass a smaller n_ctx"
            )

    def embed(self, step: Step) -> Tensor:
        at = see("pos_embd", self.ends.position_embd(step.positions))  # [T, E]
        return see("inpL", super().embed(step) + at)  # [T, E]

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        x = see("ffn_inp", x + self.attention(w.attn_norm(x), w, cache, step))  # [T, E]
        return x + w.ffn(w.ffn_norm(x))  # [T, E]

    def attention(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        q, k, v = w.attn(x)  # [T, H, D] [T, K, D] [T, K, D]
        q, k, v = see("Qcur", q), see("Kcur", k), see("Vcur", v)
        y = cache.attend(q, k, v, step, scale=self.config.head_dim**-0.5)  # [T, H, D]
        y = see("kqv_out", y.view(x.shape[0], y.shape[1] * y.shape[2]))  # [T, H*D]
        return see("attn_out", w.attn_output(y))  # [T, E]
