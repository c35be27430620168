"""Latent attention (arXiv:2405.04434): all keys and values of a token are made of one short vector.

A head's query and key have a plain part and one that is turned by the position; the turned part of
the key is the same for all heads. What is remembered depends on the file's matrices: the keys and
values of all heads, or only the short vector, when queries are brought to where it is.

Sizes, beside the usual ones: D a head's whole key, N its plain part, R its turned part, W a head's
value, C the short vector, Q the one that queries may be made of.
"""

from __future__ import annotations

from .. import ops
from ..tensor import Tensor
from .linear import Linear
from .norm import RMSNorm
from .weights import Block, Leaf, block, w

# ---- queries


@block
class _Queries(Block):
    def split(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """The plain part of each head, and the one that is to be turned."""
        c = self.config
        q = q.view(q.shape[0], c.n_head, c.key_dim)  # [T, H, D]
        return part(q, 0, c.plain_dim), part(q, c.plain_dim, c.rope_dim)  # [T, H, N] [T, H, R]


@block
class WideQueries(_Queries):
    """Made of the hidden state at once."""

    attn_q: Linear = w("H*D, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.split(self.attn_q(x))


@block
class NarrowQueries(_Queries):
    """Made of a short vector of their own."""

    attn_q_a: Linear = w("Q, E")
    attn_q_a_norm: RMSNorm = w("Q")
    attn_q_b: Linear = w("H*D, Q")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.split(self.attn_q_b(self.attn_q_a_norm(self.attn_q_a(x))))


# ---- keys and values


@block
class ShortVector(Block):
    """What keys and values are made of, and the part of a key that is to be turned."""

    attn_kv_a_mqa: Linear = w("C + R, E")
    attn_kv_a_norm: RMSNorm = w("C")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        c = self.config
        both = ops.see("kv_cmpr_pe", self.attn_kv_a_mqa(x))  # [T, C + R]
        short = ops.columns(both, start=0, count=c.n_latent)  # [T, C]
        turned = ops.columns(both, start=c.n_latent, count=c.rope_dim)  # [T, R]
        short = ops.see("kv_cmpr", self.attn_kv_a_norm(short))
        return short, turned.view(x.shape[0], 1, c.rope_dim)  # [T, 1, R]


@block
class HeadLinear(Leaf):
    """A projection for each head."""

    weight: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return ops.see(self.name, ops.head_matmul(x, self.weight))


@block
class MadeKV(Block):
    """Keys and values are made for all heads, and remembered."""

    attn_kv_b: Linear = w("H*(N + W), C")

    def __call__(
        self, plain: Tensor, turned: Tensor, short: Tensor, turned_key: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, from the parts of queries and what a key is made of."""
        c = self.config
        made = self.attn_kv_b(short).view(short.shape[0], c.n_head, c.plain_dim + c.head_value_dim)
        k = ops.join(part(made, 0, c.plain_dim), ops.repeat_heads(turned_key, times=c.n_head))
        v = part(made, c.plain_dim, c.head_value_dim)  # [T, H, W]
        return ops.join(plain, turned), k, v  # [T, H, D] [T, H, D] [T, H, W]

    def values(self, mixed: Tensor) -> Tensor:
        """What the heads give, from the mean of what they attended to."""
        return mixed


@block
class AbsorbedKV(Block):
    """Only the short vector is remembered; queries are brought to it, and values made at last."""

    attn_k_b: HeadLinear = w("H, C, N")
    attn_v_b: HeadLinear = w("H, W, C")

    def __call__(
        self, plain: Tensor, turned: Tensor, short: Tensor, turned_key: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One key and one value for all heads; the value is the key's first part."""
        t, width = short.shape
        v = short.view(t, 1, width)  # [T, 1, C]
        q = ops.join(self.attn_k_b(plain), turned)  # [T, H, C + R]
        return q, ops.join(v, turned_key), v  # [T, 1, C + R] [T, 1, C]

    def values(self, mixed: Tensor) -> Tensor:
        return self.attn_v_b(mixed)  # [T, H, W]


def part(x: Tensor, start: int, count: int) -> Tensor:
    """Some of the values of each head, next to each other."""
    n, h, width = x.shape
    return ops.columns(x.view(n * h, width), start=start, count=count).view(n, h, count)
