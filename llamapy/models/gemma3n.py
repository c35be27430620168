"""Gemma 3n: four streams of hidden states of which one is computed, and the others guessed.

A layer guesses all streams from those before it, computes one of them, and corrects the others by
how far the guess was off (AltUp, arXiv:2301.13310). Beside attention goes a narrow shortcut, and in
the first layers only few of a feed-forward block's values count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import Linear, RMSNorm, block, group, w
from ..nn.latent import HeadLinear
from ..ops import see
from ..tensor import Tensor
from . import _per_layer
from ._config import constant, expect, key
from ._decoder import Ends

ROOT_OF_HALF = 0.5**0.5
N_REMEMBERING = 20  # layers, from the first on, with keys and values of their own
N_SPARSE = 10  # layers, from the first on
SHORTCUT = 64  # values
# 95 of 100 values that are distributed normally are below it
DEVIATIONS = 1.6448533535003662


@dataclass(frozen=True)
class Config(_per_layer.Config):
    """Files also say how many layers borrow, and how sparse each is; these are fixed."""

    n_per_layer: int = key("embedding_length_per_layer_input", 256)
    n_borrowing: int = constant(0)
    n_streams: int = key("altup.num_inputs", 4)
    computed: int = expect("altup.active_idx", 0)  # the stream
    final_softcap: float = expect("final_logit_softcapping", 30.0)

    @property
    def n_remembering(self) -> int:
        return N_REMEMBERING

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "A": self.n_streams, "U": SHORTCUT}


@block
class StreamEnds(Ends):
    """Each further stream begins with a matrix of its own, and ends with one."""

    altup_proj: HeadLinear = w("A-1, E, E")
    altup_unembd_proj: HeadLinear = w("A-1, E, E")
    per_layer: _per_layer.Embeddings = group()


@block
class Layer(_per_layer.Layer):
    """With what guesses and corrects, and the shortcut."""

    altup_router_norm: RMSNorm = w("E")
    altup_router: Linear = w("A, E")
    altup_predict_coef: Linear = w("A*A, A")
    altup_correct_coef: Linear = w("A, A")
    altup_correct_scale: Tensor = w("E")
    laurel_l: Linear = w("U, E")
    laurel_r: Linear = w("E, U")
    laurel_post_norm: RMSNorm = w("E")
    entrance: _per_layer.Entrance = group()


@block
class Borrowing(Layer):
    """A late layer, which needs only queries."""

    attn: _per_layer.QueryProjection | _per_layer.FusedProjections = group()
    attn_k_norm: RMSNorm | None = w("D")


class Gemma3n(_per_layer.PerLayerGemma):
    """Between layers there are all streams, [T, A, E]."""

    Config, Layer, Borrowing, Ends = Config, Layer, Borrowing, StreamEnds

    def embed(self, step: Step) -> Tensor:
        x = super().embed(step)  # [T, E]
        others = self.ends.altup_proj(self.repeated(x))  # [T, A-1, E]
        others = ops.as_long_as(others, x).view(x.shape[0], -1)
        return see("inp_stacked", ops.join(x, others).view(x.shape[0], -1, x.shape[1]))

    def inputs(self, x: Tensor, step: Step) -> Tensor:
        return self.ends.per_layer(step.tokens, stream(x, 0))

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        guesses = self.guess(x, w)  # [T, A, E]
        guess = see("active_prediction", stream(guesses, 0))  # [T, E]
        y = w.attn_norm(guess)
        shortcut = see("laurel_out", w.laurel_post_norm(w.laurel_r(w.laurel_l(y))) + y)
        y = see("attn_post_norm", w.post_attention_norm(self.attention(y, w, cache, step)))
        y = see("attn_gated", y + guess)
        y = see("attn_laurel", ops.scale(y + shortcut, by=ROOT_OF_HALF))  # [T, E]
        z = see("ffn_post_norm", w.post_ffw_norm(self.feed_forward(w.ffn_norm(y), w)))
        return self.correct(guesses, see("attn_ffw_laurel_gated", z + y), w)  # [T, A, E]

    def guess(self, x: Tensor, w: Any) -> Tensor:
        """All streams as they may be after this layer, from those before it."""
        mixing = w.altup_predict_coef(self.modalities(stream(x, 0), w))  # [T, A*A]
        t, a, _ = x.shape
        return see("predictions", ops.mix_streams(x, mixing.view(t, a, a)) + x)  # [T, A, E]

    def modalities(self, x: Tensor, w: Any) -> Tensor:
        y = ops.scale(w.altup_router_norm(x), by=1 / self.config.n_embd)
        return see("modalities", ops.tanh(w.altup_router(y)))  # [T, A]

    def feed_forward(self, x: Tensor, w: Any) -> Tensor:
        if w.index >= N_SPARSE:
            return w.ffn(x)
        gate = ops.excess(w.ffn.ffn_gate(x), deviations=DEVIATIONS)  # [T, F]
        return see("ffn_out", w.ffn.ffn_down(ops.gelu_gate(gate, w.ffn.ffn_up(x))))  # [T, E]

    def correct(self, guesses: Tensor, computed: Tensor, w: Any) -> Tensor:
        """All streams, from the guesses and what the one that was computed came to."""
        t, a, e = guesses.shape
        by = w.altup_correct_coef(self.modalities(computed, w))  # [T, A]
        off = see("innovation", computed + ops.scale(stream(guesses, 0), by=-1.0)).view(t, 1, e)
        off = ops.mix_streams(off, by.view(t, a, 1)) + ops.repeat_heads(off, times=a)  # [T, A, E]
        return see("corrected", off + guesses)

    def finish(self, x: Tensor, w: Any, own: Tensor | None) -> Tensor:
        assert own is not None
        t, a, e = x.shape
        y = ops.mul_columns(stream(x, 0), w.altup_correct_scale)  # [T, E]
        y = see("first_prediction_out", w.entrance(y, own))  # [T, E]
        others = stream(x, 1, a - 1).view(t, a - 1, e) + self.repeated(y)
        return ops.join(stream(x, 0), others.view(t, -1)).view(t, a, e)

    def head(self, x: Tensor) -> Tensor:
        t, a, e = x.shape
        others = self.ends.altup_unembd_proj(stream(x, 1, a - 1).view(t, a - 1, e))
        others = see("altup_unembd", ops.as_long_as(others, stream(x, 0)))  # [O, A-1, E]
        x = stream(x, 0) + ops.expert_total(others)  # [O, E]
        return super().head(see("unembd_merged", ops.scale(x, by=1 / a)))

    def repeated(self, x: Tensor) -> Tensor:
        """The same for all streams but the first, [T, A-1, E]."""
        alone = x.view(x.shape[0], 1, x.shape[1])
        return ops.repeat_heads(alone, times=self.config.n_streams - 1)


def stream(x: Tensor, first: int, count: int = 1) -> Tensor:
    """Some streams of [T, A, E], next to each other: [T, count*E]."""
    t, a, e = x.shape
    return ops.columns(x.view(t, a * e), start=first * e, count=count * e)
