"""Gemma 4: heads of another size in windows, an embedding for each layer, experts beside a block.

Small models have embeddings for layers and borrow keys, large ones have experts; what a file has
shows in its tensors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..errors import UnsupportedError
from ..nn import Block, GeGLUExperts, Leaf, RMSNorm, SoftmaxRouter, block, group, w
from ..nn.low_rank import LowRank
from ..ops import see
from ..tensor import Tensor
from . import _per_layer
from ._config import ExpertsConfig, key, layer_key
from ._decoder import RopeEnds


@dataclass(frozen=True)
class Config(_per_layer.Config):
    """In windows, heads and the part of them that is turned have sizes of their own."""

    window_pattern: int | bool = layer_key("attention.sliding_window_pattern")
    n_per_layer: int = key("embedding_length_per_layer_input", 0)
    window_value_dim: int = key("attention.value_length_swa", lambda c: c.value_dim)
    n_ff_expert: int = layer_key("expert_feed_forward_length", 0)

    def __post_init__(self) -> None:
        ExpertsConfig.__post_init__(self)
        if (self.head_dim, self.window_head_dim) != (self.value_dim, self.window_value_dim):
            raise UnsupportedError(
                f"keys have {self.head_dim} and {self.window_head_dim} values, and values "
                f"{self.value_dim} and {self.window_value_dim}: here they are of the same size"
            )
        self.check_lenders()

    def at(self, layer: int) -> Config:
        own = super().at(layer)
        if not self.is_windowed(layer):
            return own
        return dataclasses.replace(
            own,
            head_dim=self.window_head_dim,
            value_dim=self.window_value_dim,
            rope_dim=self.window_rope_dim,
        )


@block
class OptionalEnds(RopeEnds):
    """Frequencies are divided in layers without a window."""

    rope_freqs: Tensor | None = w("D//2")
    per_layer: _per_layer.Embeddings | None = group()


@block
class ScaledLinear(Leaf):
    """A projection of what was scaled value by value."""

    weight: Tensor
    scale: Tensor

    @classmethod
    def endings(cls, shape: Sequence[str]) -> dict[str, Sequence[str]]:
        return {"weight": shape, "scale": shape[1:]}

    adaptable = LowRank

    def __call__(self, x: Tensor) -> Tensor:
        x = ops.mul_columns(x, self.scale)
        y = ops.matmul(x, self.weight)
        for addition in self.additions:
            y = addition(y, x)
        return y


@block
class Router(SoftmaxRouter):
    """Looks at the hidden state itself, normed and scaled."""

    ffn_gate_inp: ScaledLinear = w("X, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        c = self.config
        x = ops.scale(ops.rms_norm(x, None, eps=c.norm_eps), by=c.n_embd**-0.5)
        return super().__call__(x)


@block
class Experts(GeGLUExperts):
    """Gated by GELU."""

    router: Router = group()


@block
class Mixture(Block):
    """Experts beside the feed-forward block, each with its norms."""

    experts: Experts = group()
    pre_ffw_norm_2: RMSNorm = w("E")
    post_ffw_norm_1: RMSNorm = w("E")
    post_ffw_norm_2: RMSNorm = w("E")

    def __call__(self, x: Tensor, dense: Tensor) -> Tensor:
        """With what the feed-forward block gave."""
        dense = see("ffn_mlp", self.post_ffw_norm_1(dense))  # [T, E]
        normed = see("ffn_norm_2", self.pre_ffw_norm_2(x))
        y = self.experts.mix(normed, *self.experts.router(x))  # [T, E]
        return see("ffn_moe_combined", dense + see("ffn_moe", self.post_ffw_norm_2(y)))


@block
class Layer(_per_layer.Layer):
    """With experts or without, with an embedding or without."""

    mixture: Mixture | None = group()
    entrance: _per_layer.Entrance | None = group()
    layer_output_scale: Tensor | None = w("1")


@block
class Borrowing(Layer):
    """A late layer, which needs only queries."""

    attn: _per_layer.QueryProjection | _per_layer.FusedProjections = group()
    attn_k_norm: RMSNorm | None = w("D")


class Gemma4(_per_layer.PerLayerGemma):
    """Rope over halves."""

    Config, Layer, Borrowing, Ends = Config, Layer, Borrowing, OptionalEnds

    def inputs(self, x: Tensor, step: Step) -> Tensor | None:
        per_layer = self.ends.per_layer
        return None if per_layer is None else per_layer(step.tokens, x)

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = self.attention(w.attn_norm(x), w, cache, step)
        x = see("attn_out", x + see("attn_post_norm", w.post_attention_norm(y)))  # [T, E]
        y = w.ffn(w.ffn_norm(x))
        if w.mixture is not None:
            y = w.mixture(x, y)
        return x + see("ffn_post_norm", w.post_ffw_norm(y))  # [T, E]

    def finish(self, x: Tensor, w: Any, own: Tensor | None) -> Tensor:
        if own is not None:
            x = x + see("per_layer_embd_out", w.entrance(see("pe_in", x), own))  # [T, E]
        if w.layer_output_scale is None:
            return x
        return see("out_scaled", ops.mul_scalar(x, w.layer_output_scale))

    def _factors(self) -> Tensor | None:
        factors = super()._factors()
        if factors is None:
            return None
        return Tensor.of(factors.numpy()[: self.config.rope_dim // 2], self.backend)
