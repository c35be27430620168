"""Llama 4: attention within chunks, layers without positions, experts that weigh their input."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import KV, Step
from ..errors import UnsupportedError
from ..nn import Rope, SigmoidRouter, SwiGLU, SwiGLUExperts, block, group
from ..ops import see
from ..tensor import Tensor
from . import _windows, llama
from ._config import constant, key, layer_key

CHUNK = 8192  # tokens that see each other; no file says another number


@dataclass(frozen=True)
class Config(_windows.Config):
    """Three of four layers see chunks, whatever the length that the file states."""

    stated_window: int = key("attention.sliding_window", CHUNK)
    window: int = constant(CHUNK)
    n_ff_expert: int = layer_key("expert_feed_forward_length")
    expert_norm: bool = constant(False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.stated_window:
            raise UnsupportedError(
                "attention.sliding_window is 0: models that see everything in all layers, of which "
                "none has experts, are not known here, and llama.cpp does not load them either"
            )

    @property
    def norms_heads(self) -> bool:
        """All but the largest of the models do; its 128 experts tell it."""
        return self.n_expert != 128


@block
class Router(SigmoidRouter):
    """Chosen by logits, which are told apart where their sigmoids are all 1."""

    def scores(self, logits: Tensor) -> Tensor:
        return logits

    def weigh(self, weights: Tensor) -> Tensor:
        return super().weigh(ops.sigmoid(weights))


@block
class Experts(SwiGLUExperts):
    """A weight scales what its expert gets, not what it gives."""

    router: Router = group()

    def mix(self, x: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
        t, c = weights.shape
        rows = ops.repeat_heads(x.view(t, 1, x.shape[1]), times=c)
        rows = see("ffn_moe_weighted", ops.mul_heads(rows, weights))  # [T, C, E]
        gate, up = self.gate_up(rows, ids)  # [T, C, M] both
        y = see("ffn_moe_down", self.ffn_down_exps(self.activate(gate, up), ids))  # [T, C, E]
        return see("ffn_moe_out", ops.expert_total(y))  # [T, E]


@block
class Layer(llama.Layer):
    """Dense layers and those with experts take turns."""

    ffn: Experts | SwiGLU = group()


class ChunkedKV(KV):
    """Tokens see their chunk: a window, seen from the end of the chunk."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, step: Step, **options: Any) -> Tensor:
        assert self.window is not None
        ends = ops.chunk_ends(step.positions, length=self.window)
        return super().attend(q, k, v, dataclasses.replace(step, positions=ends), **options)


class Llama4(_windows.WindowedLlama):
    """Every fourth layer has no rope; its queries grow beyond the length of a chunk."""

    Config, Layer = Config, Layer

    def make_window_rope(self) -> Rope:
        return self.make_rope(self.config.window_rope_base, self.config.window_rope_dim)

    def rope_of(self, index: int) -> Rope | None:
        return super().rope_of(index) if (index + 1) % 4 else None

    def state(self, index: int) -> KV:
        state = super().state(index)
        if state.window is None:
            return state
        return ChunkedKV(state.n_heads, state.key_dim, state.value_dim, window=state.window)

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        if self.rope_of(w.index):
            return super().rotate(q, k, w, step)
        return ops.grow_far(q, step.positions, strength=0.1, period=CHUNK, offset=1.0), k

    def attend(self, q: Tensor, k: Tensor, v: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        c = self.config
        if c.norms_heads and self.rope_of(w.index):
            q = see("Qcur_normed", ops.rms_norm(q, None, eps=c.norm_eps))
            k = see("Kcur_normed", ops.rms_norm(k, None, eps=c.norm_eps))
        return super().attend(q, k, v, w, cache, step)
