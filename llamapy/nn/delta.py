"""Gated delta networks: short convolutions, and states that learn by the delta rule.

Sizes, beside the usual ones: N a head's columns, G heads of keys, J heads of values, I the columns
of all values, W the tokens that a convolution sees.
"""

from __future__ import annotations

from typing import Any

from .. import ops
from ..tensor import Tensor
from .attention import Bias
from .latent import part
from .linear import Linear
from .mamba import CausalConv, Unsuffixed
from .norm import RMSNorm
from .weights import Block, block, group, w


def unit(x: Tensor, eps: float) -> Tensor:
    """Heads [t, h, d] of length 1."""
    d = x.shape[2]
    return ops.scale(ops.rms_norm(x, None, eps=eps / d), by=d**-0.5)


# ---- Qwen's: a head fades by one rate


@block
class SplitProjections(Block):
    """Queries, keys and values; and the gate."""

    attn_qkv: Linear = w("2*G*N + I, E")
    attn_gate: Linear = w("I, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.attn_qkv(x), self.attn_gate(x)


@block
class InterleavedProjections(Block):
    """One matrix, in which everything that belongs to a head of keys stands together."""

    ssm_in: Linear = w("2*G*N + 2*I, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        c, t = self.config, x.shape[0]
        n, own = c.n_state, c.n_inner // c.n_group  # columns of values for each head of keys
        y = self.ssm_in(x).view(t, c.n_group, 2 * (n + own))
        q = part(y, 0, n).view(t, c.n_group * n)
        k = part(y, n, n).view(t, c.n_group * n)
        v = part(y, 2 * n, own).view(t, c.n_inner)
        z = part(y, 2 * n + own, own).view(t, c.n_inner)
        return ops.join(ops.join(q, k), v), z


@block
class InterleavedRates(Block):
    """How much is learned, and how fast heads fade; by heads of keys."""

    ssm_ba: Linear = w("2*J, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        c, t = self.config, x.shape[0]
        each = c.n_time // c.n_group
        y = self.ssm_ba(x).view(t, c.n_group, 2 * each)
        return part(y, 0, each).view(t, c.n_time), part(y, each, each).view(t, c.n_time)

    def spread(self, x: Tensor) -> Tensor:
        """Heads of keys for all heads of values: next to each other are those that share one."""
        return ops.repeat_heads(x, times=self.config.n_time // x.shape[1])


@block
class SplitRates(Block):
    """The same, from two matrices; by heads of values."""

    ssm_beta: Linear = w("J, E")
    ssm_alpha: Linear = w("J, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.ssm_beta(x), self.ssm_alpha(x)

    def spread(self, x: Tensor) -> Tensor:
        """Heads of keys for all heads of values: all of them, again and again."""
        t, g, n = x.shape
        times = self.config.n_time // g
        return ops.repeat_heads(x.view(t, 1, g * n), times=times).view(t, g * times, n)


@block
class DeltaNet(Block):
    """The gated delta rule (arXiv:2412.06464). Rates say how heads of keys are shared, too."""

    projections: SplitProjections | InterleavedProjections = group()
    rates: InterleavedRates | SplitRates = group()
    ssm_conv1d: CausalConv = w("2*G*N + I, W")
    ssm_dt: Bias = w("J")
    ssm_a: Unsuffixed = w("J")
    ssm_norm: RMSNorm = w("N")
    ssm_out: Linear = w("E, I")

    def __call__(self, x: Tensor, cache: Any, step: Any) -> Tensor:
        c, t = self.config, x.shape[0]
        qkv, z = self.projections(x)
        beta, alpha = self.rates(x)  # [T, J] both
        qkv = ops.silu(self.ssm_conv1d(qkv, cache.conv, step))
        width = c.n_group * c.n_state
        q = ops.columns(qkv, start=0, count=width).view(t, c.n_group, c.n_state)
        k = ops.columns(qkv, start=width, count=width).view(t, c.n_group, c.n_state)
        v = ops.columns(qkv, start=2 * width, count=c.n_inner).view(t, c.n_time, c.n_state)
        rate = ops.softplus(ops.add_bias(alpha, self.ssm_dt.bias))
        rate = ops.mul_columns(rate, self.ssm_a.weight)  # [T, J]
        y = ops.delta_rule(
            ops.scale(self.rates.spread(unit(q, c.norm_eps)), by=c.n_state**-0.5),
            self.rates.spread(unit(k, c.norm_eps)),
            v,
            rate.view(t, c.n_time, 1),
            ops.sigmoid(beta),
            cache.delta,
            *step.recurrence,
        )  # [T, J, N]
        y = self.ssm_norm(y).view(t, c.n_inner)
        return ops.see("linear_attn_out", self.ssm_out(ops.silu_gate(z, y)))  # [T, E]


# ---- Kimi's: each row of a head's state fades by its own rate


@block
class HeadConv(CausalConv):
    """A convolution whose file writes sizes of 1 between the others."""

    def __call__(self, x: Tensor, states: Tensor, step: Any) -> Tensor:
        weight = self.weight.view(-1, self.weight.shape[-1])
        return ops.silu(ops.causal_conv(x, weight, self.bias, states, *step.recurrence))


@block
class SplitHeads(Block):
    """Queries, keys and values."""

    attn_q: Linear = w("H*P, E")
    attn_k: Linear = w("H*P, E")
    attn_v: Linear = w("H*P, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.attn_q(x), self.attn_k(x), self.attn_v(x)


@block
class FusedHeads(Block):
    """The same from one matrix."""

    attn_qkv: Linear = w("3*H*P, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = self.attn_qkv(x)
        n = y.shape[1] // 3
        return (
            ops.columns(y, start=0, count=n),
            ops.columns(y, start=n, count=n),
            ops.columns(y, start=2 * n, count=n),
        )


@block
class KimiDelta(Block):
    """Kimi delta attention (arXiv:2510.26692). P is a head's columns, Y what convolutions see."""

    projections: SplitHeads | FusedHeads = group()
    ssm_conv1d_q: HeadConv = w("1, H*P, 1, Y")
    ssm_conv1d_k: HeadConv = w("1, H*P, 1, Y")
    ssm_conv1d_v: HeadConv = w("1, H*P, 1, Y")
    ssm_f_a: Linear = w("P, E")
    ssm_f_b: Linear = w("H*P, P")
    ssm_beta: Linear = w("H, E")
    ssm_a: Unsuffixed = w("1, 1, H, 1")
    ssm_dt: Bias = w("H*P")
    ssm_g_a: Linear = w("P, E")
    ssm_g_b: Linear = w("H*P, P")
    ssm_norm: RMSNorm = w("P")
    attn_output: Linear = w("E, H*P")

    def __call__(self, x: Tensor, cache: Any, step: Any) -> Tensor:
        c, t = self.config, x.shape[0]
        h, d = c.n_head, c.n_delta
        q, k, v = self.projections(x)  # [T, H*P] each
        q = self.ssm_conv1d_q(q, cache.conv_q, step).view(t, h, d)
        k = self.ssm_conv1d_k(k, cache.conv_k, step).view(t, h, d)
        v = self.ssm_conv1d_v(v, cache.conv_v, step).view(t, h, d)
        rate = ops.add_bias(self.ssm_f_b(self.ssm_f_a(x)), self.ssm_dt.bias)
        fastest = ops.repeat_heads(self.ssm_a.weight.view(1, h, 1), times=d).view(h * d)
        rate = ops.mul_columns(ops.softplus(rate), fastest)  # [T, H*P]
        y = ops.delta_rule(
            ops.scale(unit(q, c.norm_eps), by=d**-0.5),
            unit(k, c.norm_eps),
            v,
            rate.view(t, h, d),
            ops.sigmoid(self.ssm_beta(x)),
            cache.delta,
            *step.recurrence,
        )  # [T, H, P]
        y = self.ssm_norm(y).view(t, h * d)
        gate = ops.sigmoid(self.ssm_g_b(self.ssm_g_a(x)))
        return ops.see("kda_out", self.attn_output(ops.mul(y, gate)))  # [T, E]
