"""Deci: Llama whose layers differ: some have no attention, or only a matrix in its place."""

from __future__ import annotations

from typing import Any

from ..cache import Step
from ..nn import Block, Linear, RMSNorm, SwiGLU, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import llama


@block
class Layer(llama.Layer):
    """Llama's."""

    ffn: SwiGLU = group()


@block
class LinearLayer(Block):
    """A matrix in place of attention."""

    attn_norm: RMSNorm = w("E")
    attn_output: Linear = w("E, E")
    ffn_norm: RMSNorm = w("E")
    ffn: SwiGLU = group()


@block
class FeedForwardLayer(Block):
    """No attention."""

    ffn_norm: RMSNorm = w("E")
    ffn: SwiGLU = group()


@block
class EmptyLayer(Block):
    """Nothing: its input is its result."""


class Deci(llama.Llama):
    """As Llama, but for the kinds of layers."""

    Layer = Layer

    @classmethod
    def layer_type(cls, config: Any, number: int) -> type[Block]:
        """It follows from the numbers of heads, and from the feed-forward length."""
        if not config.n_ff:
            return EmptyLayer
        if not config.n_head:
            return FeedForwardLayer
        return cls.Layer if config.n_head_kv else LinearLayer

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        match w:
            case EmptyLayer():
                return x
            case LinearLayer():
                y = see("attn_out", w.attn_output(w.attn_norm(x)))  # [T, E]
                x = see("ffn_inp", x + y)  # [T, E]
            case Layer():
                x = see("ffn_inp", x + self.attention(w.attn_norm(x), w, cache, step))  # [T, E]
        return x + w.ffn(w.ffn_norm(x))  # [T, E]
