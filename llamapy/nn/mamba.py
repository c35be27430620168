"""Selective state spaces: Mamba (arXiv:2312.00752) and Mamba 2 (arXiv:2405.21060).

Sizes, beside the usual ones: I the inner columns, N a state's values, W the tokens that a
convolution sees, J the rank of the times (Mamba) or the heads (Mamba 2), G groups of heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import ops
from ..tensor import Tensor
from .attention import Bias
from .linear import Linear
from .norm import RMSNorm
from .weights import Block, Leaf, block, w


@block
class Unsuffixed(Leaf):
    """A tensor whose name is the field's, without an ending."""

    weight: Tensor

    @classmethod
    def tensor_name(cls, path: str, ending: str) -> str:
        return path


@block
class CausalConv(Leaf):
    """Each column's weighted sum of the last tokens; what came before a step is a state."""

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor, states: Tensor, step: Any) -> Tensor:
        y = ops.causal_conv(x, self.weight, self.bias, states, *step.recurrence)  # [T, C]
        return ops.see(self.name, y)


@block
class GroupedRMSNorm(Leaf):
    """Divided by the root of the mean square of each group of columns; weights are [G, I//G]."""

    weight: Tensor

    @classmethod
    def endings(cls, shape: Sequence[str]) -> dict[str, Sequence[str]]:
        return {"weight": shape}

    def __call__(self, x: Tensor) -> Tensor:
        t, width = x.shape
        groups, size = self.weight.shape
        y = ops.rms_norm(x.view(t, groups, size), None, eps=self.config.norm_eps)
        return ops.see(self.name, ops.mul_columns(y.view(t, width), self.weight.view(width)))


@block
class Mamba(Block):
    """Every column has a state of its own, each value of which fades by its own rate."""

    ssm_in: Linear = w("2*I, E")
    ssm_conv1d: CausalConv = w("I, W")
    ssm_x: Linear = w("J + 2*N, I")
    ssm_dt: Linear = w("I, J")
    ssm_a: Unsuffixed = w("I, N")
    ssm_d: Unsuffixed = w("I")
    ssm_out: Linear = w("E, I")

    def __call__(self, x: Tensor, cache: Any, step: Any) -> Tensor:
        c, t = self.config, x.shape[0]
        xz = self.ssm_in(x)  # [T, 2*I]
        x = ops.columns(xz, start=0, count=c.n_inner)  # [T, I]
        z = ops.columns(xz, start=c.n_inner, count=c.n_inner)  # [T, I]
        x = ops.silu(self.ssm_conv1d(x, cache.conv, step))  # [T, I]
        dt, b, c_ = self.selection(x)
        y = ops.ssm_scan(
            x.view(t, c.n_inner, 1),
            self.ssm_dt(dt),
            self.ssm_a.weight,
            b.view(t, 1, c.n_state),
            c_.view(t, 1, c.n_state),
            self.ssm_d.weight,
            cache.ssm,
            *step.recurrence,
        )  # [T, I, 1]
        return self.ssm_out(ops.silu_gate(z, y.view(t, c.n_inner)))  # [T, E]

    def selection(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What a token says of how long it lasts [T, J], what it adds, and what is read [T, N]."""
        c = self.config
        y = self.ssm_x(x)  # [T, J + 2*N]
        return (
            ops.columns(y, start=0, count=c.n_time),
            ops.columns(y, start=c.n_time, count=c.n_state),
            ops.columns(y, start=c.n_time + c.n_state, count=c.n_state),
        )


@block
class NormedMamba(Mamba):
    """What a token says of its selection is normed."""

    ssm_dt_norm: RMSNorm = w("J")
    ssm_b_norm: RMSNorm = w("N")
    ssm_c_norm: RMSNorm = w("N")

    def selection(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dt, b, c = super().selection(x)
        return self.ssm_dt_norm(dt), self.ssm_b_norm(b), self.ssm_c_norm(c)


@block
class Mamba2(Block):
    """Columns are heads, each of which fades by one rate; groups of heads share a selection."""

    ssm_in: Linear = w("2*I + 2*G*N + J, E")
    ssm_conv1d: CausalConv = w("I + 2*G*N, W")
    ssm_dt: Bias = w("J")
    ssm_a: Unsuffixed = w("J, 1")
    ssm_d: Unsuffixed = w("J, 1")
    ssm_norm: GroupedRMSNorm | None = w("G, I//G")
    ssm_out: Linear = w("E, I")

    def __call__(self, x: Tensor, cache: Any, step: Any) -> Tensor:
        c, t = self.config, x.shape[0]
        inner, shared, heads = c.n_inner, c.n_group * c.n_state, c.n_time
        y = self.ssm_in(x)  # [T, 2*I + 2*G*N + J]
        z = ops.columns(y, start=0, count=inner)  # [T, I]
        xbc = ops.columns(y, start=inner, count=inner + 2 * shared)  # [T, I + 2*G*N]
        dt = ops.columns(y, start=2 * (inner + shared), count=heads)  # [T, J]
        xbc = ops.silu(self.ssm_conv1d(xbc, cache.conv, step))  # [T, I + 2*G*N]
        y = ops.ssm_scan(
            ops.columns(xbc, start=0, count=inner).view(t, heads, inner // heads),
            ops.add_bias(dt, self.ssm_dt.bias),
            self.ssm_a.weight,
            ops.columns(xbc, start=inner, count=shared).view(t, c.n_group, c.n_state),
            ops.columns(xbc, start=inner + shared, count=shared).view(t, c.n_group, c.n_state),
            self.ssm_d.weight.view(heads),
            cache.ssm,
            *step.recurrence,
        )  # [T, J, I//J]
        y = ops.silu_gate(z, ops.see("mamba2_y_add_d", y).view(t, inner))  # [T, I]
        if self.ssm_norm is not None:
            y = self.ssm_norm(y)
        return ops.see("mamba_out", self.ssm_out(y))  # [T, E]
