"""RWKV 7 (arXiv:2503.14456): a recurrence that replaces what it knows of a key.

Sizes, beside the usual ones: Y, Z, U and X the ranks of what the token says of fading, of
replacing, of the first layer's values and of the gate; B is 1 if there is a gate.
"""

from __future__ import annotations

from typing import Any

from .. import ops
from ..tensor import Tensor
from .linear import Linear
from .rwkv import HeadNorm, rows_of
from .weights import Block, block, group, w

FASTEST = -0.606531  # the logarithm of how much is left at least: 1 / root of e


@block
class Gate7(Block):
    """How much of each value goes on."""

    time_mix_g1: Linear = w("X, E")
    time_mix_g2: Linear = w("E, X")

    def __call__(self, x: Tensor) -> Tensor:
        return self.time_mix_g2(ops.sigmoid(self.time_mix_g1(x)))


@block
class TimeMix7(Block):
    """Of the first layer, whose values others may use."""

    time_mix_lerp_fused: Tensor = w("5 + B, 1, 1, E")
    time_mix_w0: Tensor = w("E")
    time_mix_w1: Linear = w("Y, E")
    time_mix_w2: Linear = w("E, Y")
    time_mix_a0: Tensor = w("E")
    time_mix_a1: Linear = w("Z, E")
    time_mix_a2: Linear = w("E, Z")
    gate: Gate7 | None = group()
    time_mix_k_k: Tensor = w("E")
    time_mix_k_a: Tensor = w("E")
    time_mix_r_k: Tensor = w("E")
    time_mix_receptance: Linear = w("E, E")
    time_mix_key: Linear = w("E, E")
    time_mix_value: Linear = w("E, E")
    time_mix_ln: HeadNorm | None = w("E")
    time_mix_output: Linear = w("E, E")

    def __call__(
        self, x: Tensor, first: Tensor | None, cache: Any, step: Any
    ) -> tuple[Tensor, Tensor]:
        """What the layer gives, and the first layer's values."""
        before = ops.token_before(x, cache.token, *step.recurrence)
        seen = [ops.toward_columns(x, before, share) for share in rows_of(self.time_mix_lerp_fused)]
        xr, xw, xk, xv, xa = seen[:5]
        r, k = self.time_mix_receptance(xr), self.time_mix_key(xk)  # [T, E]
        v = self.values(xv, first)
        fade = self.time_mix_w2(ops.tanh(self.time_mix_w1(xw)))
        fade = ops.sigmoid(ops.add_bias(fade, self.time_mix_w0))
        fade = ops.exp(ops.scale(fade, by=FASTEST))
        share = self.time_mix_a2(self.time_mix_a1(xa))
        share = ops.sigmoid(ops.add_bias(share, self.time_mix_a0))  # that is replaced
        replaced = self.unit(ops.mul_columns(k, self.time_mix_k_k))
        k = self.weakened(k, share)
        y = ops.wkv7(
            self.heads(r),
            self.heads(k),
            self.heads(v),
            self.heads(fade),
            ops.scale(replaced, by=-1.0),
            ops.mul(replaced, self.heads(share)),
            cache.wkv,
            *step.recurrence,
        )  # [T, H, D]
        y = y.view(*x.shape) if self.time_mix_ln is None else self.time_mix_ln(y)
        y = y + self.bonus(r, k, v)  # [T, E]
        if self.gate is not None:
            y = ops.mul(y, self.gate(seen[5]))
        return self.time_mix_output(y), v if first is None else first

    def heads(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], -1, self.config.n_wkv)  # [T, H, D]

    def values(self, x: Tensor, first: Tensor | None) -> Tensor:
        return self.time_mix_value(x)

    def unit(self, k: Tensor) -> Tensor:
        """Heads of length 1."""
        d = self.config.n_wkv
        return ops.scale(ops.rms_norm(self.heads(k), None, eps=1e-24 / d), by=d**-0.5)

    def weakened(self, k: Tensor, share: Tensor) -> Tensor:
        """Keys, the smaller the less they replace."""
        part = ops.mul_columns(k, self.time_mix_k_a)
        return k + ops.mul(part, share) + ops.scale(part, by=-1.0)

    def bonus(self, r: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The token's own values, by how well its key fits its query."""
        t, e = v.shape
        d = self.config.n_wkv
        fit = ops.mul_columns(ops.mul(k, r), self.time_mix_r_k)
        fit = ops.expert_total(fit.view(t * e // d, d, 1)).view(t, e // d)  # [T, H]
        return ops.mul_heads(self.heads(v), fit).view(t, e)


@block
class LaterTimeMix7(TimeMix7):
    """Of the other layers: as much of the first layer's values as the token says."""

    time_mix_v0: Tensor = w("E")
    time_mix_v1: Linear = w("U, E")
    time_mix_v2: Linear = w("E, U")

    def values(self, x: Tensor, first: Tensor | None) -> Tensor:
        assert first is not None
        share = self.time_mix_v2(self.time_mix_v1(x))
        share = ops.sigmoid(ops.add_bias(share, self.time_mix_v0))
        return ops.toward(self.time_mix_value(x), first, share)


@block
class ChannelMix7(Block):
    """The feed-forward block: it sees the token before, too."""

    channel_mix_lerp_k: Tensor = w("1, 1, E")
    channel_mix_key: Linear = w("F, E")
    channel_mix_value: Linear = w("E, F")

    def __call__(self, x: Tensor, cache: Any, step: Any) -> Tensor:
        before = ops.token_before(x, cache.channel_token, *step.recurrence)
        x = ops.toward_columns(x, before, self.channel_mix_lerp_k.view(x.shape[1]))
        return self.channel_mix_value(ops.relu_squared(self.channel_mix_key(x)))
