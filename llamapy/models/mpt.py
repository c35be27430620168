"""MPT: BLOOM with clamped queries, keys and values; some models have learned positions as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import ops
from ..cache import Step
from ..nn import Block, Embedding, GeluMLP, LayerNorm, Leaf, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import _decoder, bloom
from ._config import key


@dataclass(frozen=True)
class Config(bloom.Config):
    """Files say how steep ALiBi is. A limit of 0 says that nothing is clamped."""

    alibi: float = key("attention.max_alibi_bias", 0.0)
    clamp: float = key("attention.clamp_kqv", 0.0)

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "N": self.n_ctx}


@block
class Ends(_decoder.Ends):
    """Positions are looked up like tokens."""

    position_embd: Embedding | None = w("N, E")
    output_norm: LayerNorm = w("E")


@block
class Divisors(Leaf):
    """What activations are divided by: AWQ has multiplied the weights behind them."""

    scales: Tensor

    @classmethod
    def endings(cls, shape: Any) -> dict[str, Any]:
        return {"scales": shape}


@block
class DividedMLP(GeluMLP):
    """down(gelu(up(x)) / scales)"""

    ffn_act: Divisors | None = w("F", name="ffn.act")

    def __call__(self, x: Tensor) -> Tensor:
        y = see("ffn_gelu", ops.gelu(self.ffn_up(x)))  # [T, F]
        if self.ffn_act is not None:
            y = see("ffn_act", ops.div_columns(y, self.ffn_act.scales))
        return see("ffn_out", self.ffn_down(y))


@block
class Layer(bloom.Layer):
    """Queries and keys may be normed, all heads together."""

    attn_q_norm: LayerNorm | None = w("H*D")
    attn_k_norm: LayerNorm | None = w("K*D")
    ffn: DividedMLP = group()


class MPT(bloom.Bloom):
    """As BLOOM."""

    Config, Layer = Config, Layer
    Ends: ClassVar[type[Block]] = Ends

    def embed(self, step: Step) -> Tensor:
        x = _decoder.Decoder.embed(self, step)  # [T, E]
        if self.ends.position_embd is None:
            return x
        return see("inpL", x + see("pos_embd", self.ends.position_embd(step.positions)))

    def heads(self, x: Tensor, w: Any) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = w.attn(x)  # [T, H, D] [T, K, D] [T, K, D]
        if (limit := self.config.clamp) > 0:
            q, k, v = (ops.clamp(heads, low=-limit, high=limit) for heads in (q, k, v))
        return normed(q, w.attn_q_norm), normed(k, w.attn_k_norm), v

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        if self.ends.position_embd is None:
            return keys
        return _decoder.Decoder.move(self, index, keys, by)


def normed(heads: Tensor, norm: LayerNorm | None) -> Tensor:
    """Heads [T, h, D], normed as one row of a token."""
    t, h, d = heads.shape
    return heads if norm is None else norm(heads.view(t, h * d)).view(t, h, d)
