"""Qwen 1: Llama with one biased matrix for queries, keys and values, and rope over halves."""

from __future__ import annotations

from dataclasses import dataclass

from .. import ops
from ..nn import FusedQKV, Linear, SwiGLU, block, group, w
from . import llama


@dataclass(frozen=True)
class Config(llama.Config):
    """What files call the feed-forward length is that of gate and up together."""

    @property
    def sizes(self) -> dict[str, int]:
        sizes = super().sizes
        return {**sizes, "F": sizes["F"] // 2} if "F" in sizes else sizes


@block
class QKV(FusedQKV):
    """As wide as if there were as many key heads as query heads, even if there are fewer."""

    attn_qkv: Linear = w("3*H*D, E")


@block
class Layer(llama.Layer):
    """Dense."""

    attn: QKV = group()
    ffn: SwiGLU = group()


class Qwen(llama.Llama):
    """As Llama."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves
