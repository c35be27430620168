"""RWKV: recurrences whose keys, values and rates see each token and the one before it.

How much of either they see, columns say that are learned (arXiv:2305.13048), and from RWKV 6 on the
token, too. Sizes, beside the usual ones: X and Y the ranks of what the token says of mixing and of
fading; D a head's columns, H heads, K heads of keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import ops
from ..tensor import Tensor
from .latent import HeadLinear
from .linear import Linear
from .weights import Block, Leaf, block, group, w

HEAD_EPS = 64e-5  # a variance that counts as none, in heads


@block
class HeadNorm(Leaf):
    """Mean 0 and variance 1 of each head [t, h, d]; weights [h*d] and what is added."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def endings(cls, shape: Sequence[str]) -> dict[str, Sequence[str]]:
        return {"weight": shape, "bias": shape}

    def __call__(self, x: Tensor) -> Tensor:
        y = ops.layer_norm(x, None, None, eps=HEAD_EPS).view(x.shape[0], -1)  # [T, H*D]
        return ops.see(self.name, ops.add_bias(ops.mul_columns(y, self.weight), self.bias))


# ---- version 6: the token itself says how much of the one before it is seen


@block
class SplitMixing(Block):
    """How much of the token before is seen at least: for rates, keys, values, queries, gates."""

    time_mix_lerp_w: Tensor = w("1, 1, E")
    time_mix_lerp_k: Tensor = w("1, 1, E")
    time_mix_lerp_v: Tensor = w("1, 1, E")
    time_mix_lerp_r: Tensor = w("1, 1, E")
    time_mix_lerp_g: Tensor = w("1, 1, E")

    def parts(self) -> list[Tensor]:
        five = (
            self.time_mix_lerp_w,
            self.time_mix_lerp_k,
            self.time_mix_lerp_v,
            self.time_mix_lerp_r,
            self.time_mix_lerp_g,
        )
        return [part.view(part.size) for part in five]


@block
class FusedMixing(Block):
    """The same in one tensor."""

    time_mix_lerp_fused: Tensor = w("5, 1, 1, E")

    def parts(self) -> list[Tensor]:
        return rows_of(self.time_mix_lerp_fused)


@block
class TimeMix6(Block):
    """What the versions that learned from RWKV 6 share."""

    time_mix_lerp_x: Tensor = w("1, 1, E")
    time_mix_w1: Linear = w("5*X, E")
    time_mix_w2: HeadLinear = w("5, E, X")
    mixing: FusedMixing | SplitMixing = group()
    time_mix_decay: Tensor = w("E")
    time_mix_decay_w1: Linear = w("Y, E")
    time_mix_decay_w2: Linear = w("E, Y")
    time_mix_receptance: Linear = w("E, E")
    time_mix_key: Linear = w("K*D, E")
    time_mix_value: Linear = w("K*D, E")
    time_mix_gate: Linear = w("E, E")
    time_mix_output: Linear = w("E, E")

    def __call__(self, x: Tensor, cache: Any, step: Any) -> Tensor:
        xw, xk, xv, xr, xg = self.mixed(x, ops.token_before(x, cache.token, *step.recurrence))
        r = self.heads(self.time_mix_receptance(xr))  # [T, H, D]
        k, v = self.heads(self.time_mix_key(xk)), self.heads(self.time_mix_value(xv))
        rate = self.time_mix_decay_w2(ops.tanh(self.time_mix_decay_w1(xw)))
        rate = ops.exp(ops.add_bias(rate, self.time_mix_decay))  # [T, E]
        fade = self.heads(ops.exp(ops.scale(rate, by=-1.0)))
        y = self.attend(r, k, v, fade, cache, step)  # [T, E]
        return self.time_mix_output(ops.mul(y, self.gate(self.time_mix_gate(xg))))

    def mixed(self, x: Tensor, before: Tensor) -> list[Tensor]:
        """What rates, keys, values, queries and gates see."""
        t, e = x.shape
        y = ops.toward_columns(x, before, self.time_mix_lerp_x.view(e))
        y = ops.tanh(self.time_mix_w1(y)).view(t, 5, -1)
        by = self.time_mix_w2(y).view(t, 5 * e)
        shares = [
            ops.add_bias(ops.columns(by, start=i * e, count=e), least)
            for i, least in enumerate(self.mixing.parts())
        ]
        return [ops.toward(x, before, share) for share in shares]  # [T, E] each

    def heads(self, x: Tensor) -> Tensor:
        """Heads [T, H, D]; those of keys and values may each serve several."""
        c = self.config
        x = x.view(x.shape[0], -1, c.n_wkv)
        times = c.n_wkv_head // x.shape[1]
        return x if times == 1 else ops.repeat_heads(x, times=times)

    def attend(
        self, r: Tensor, k: Tensor, v: Tensor, fade: Tensor, cache: Any, step: Any
    ) -> Tensor:
        """What the state says of the token."""
        raise NotImplementedError

    def gate(self, x: Tensor) -> Tensor:
        raise NotImplementedError


@block
class RWKV6(TimeMix6):
    """RWKV 6 (arXiv:2404.05892)."""

    time_mix_first: Tensor = w("H, D")
    time_mix_ln: HeadNorm = w("E")

    def attend(
        self, r: Tensor, k: Tensor, v: Tensor, fade: Tensor, cache: Any, step: Any
    ) -> Tensor:
        y = ops.wkv6(r, k, v, fade, self.time_mix_first, cache.wkv, *step.recurrence)
        return self.time_mix_ln(y)

    def gate(self, x: Tensor) -> Tensor:
        return ops.silu(x)


@block
class GatedLinear6(TimeMix6):
    """In the place of Qwen 2's attention (arXiv:2501.15570): a key counts by what fades."""

    def attend(
        self, r: Tensor, k: Tensor, v: Tensor, fade: Tensor, cache: Any, step: Any
    ) -> Tensor:
        t, h, d = k.shape
        k = k + ops.scale(ops.mul(k, fade), by=-1.0)
        r = ops.scale(r, by=d**-0.5)
        y = ops.linear_attention(r, k, v, fade, cache.wkv, *step.recurrence)
        return y.view(t, h * d)

    def gate(self, x: Tensor) -> Tensor:
        return ops.sigmoid(x)


@block
class ChannelMix6(Block):
    """The feed-forward block of RWKV 6: behind a gate that sees the token before, too."""

    channel_mix_lerp_k: Tensor = w("1, 1, E")
    channel_mix_lerp_r: Tensor = w("1, 1, E")
    channel_mix_key: Linear = w("F, E")
    channel_mix_value: Linear = w("E, F")
    channel_mix_receptance: Linear = w("E, E")

    def __call__(self, x: Tensor, cache: Any, step: Any) -> Tensor:
        e = x.shape[1]
        before = ops.token_before(x, cache.channel_token, *step.recurrence)
        xk = ops.toward_columns(x, before, self.channel_mix_lerp_k.view(e))
        xr = ops.toward_columns(x, before, self.channel_mix_lerp_r.view(e))
        y = self.channel_mix_value(ops.relu_squared(self.channel_mix_key(xk)))
        return ops.mul(ops.sigmoid(self.channel_mix_receptance(xr)), y)


def rows_of(fused: Tensor) -> list[Tensor]:
    """The vectors [E] that one tensor [n, 1, 1, E] holds."""
    n, e = fused.shape[0], fused.shape[-1]
    flat = fused.view(1, n * e)
    return [ops.columns(flat, start=i * e, count=e).view(e) for i in range(n)]
