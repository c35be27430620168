"""Llama with latent attention: what DeepSeek 2, MiniCPM 3 and PLM share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import KV, Step
from ..cache.latent import Latent
from ..nn import Block, Linear, RMSNorm, block, group, w
from ..nn.latent import AbsorbedKV, MadeKV, NarrowQueries, ShortVector, WideQueries, part
from ..ops import see
from ..tensor import Tensor
from . import llama
from ._config import key


@dataclass(frozen=True)
class LatentConfig(llama.Config):
    """Where only the short vector is remembered, other keys say how large heads are."""

    n_latent: int = key("attention.kv_lora_rank")
    n_query_latent: int = key("attention.q_lora_rank", 0)
    stated_key_dim: int = key("attention.key_length_mla", 0)
    stated_value_dim: int = key("attention.value_length_mla", 0)

    @property
    def key_dim(self) -> int:
        """A head's whole key."""
        return self.stated_key_dim or self.head_dim

    @property
    def plain_dim(self) -> int:
        """The part of it that is not turned."""
        return self.key_dim - self.rope_dim

    @property
    def head_value_dim(self) -> int:
        """A head's value."""
        return self.stated_value_dim or self.value_dim

    @property
    def attn_scale(self) -> float:
        return self.key_dim**-0.5

    @property
    def sizes(self) -> dict[str, int]:
        own = {
            "C": self.n_latent,
            "Q": self.n_query_latent,
            "N": self.plain_dim,
            "W": self.head_value_dim,
        }
        return {**super().sizes, **own, "D": self.key_dim}


@block
class LatentLayer(Block):
    """Latent attention; which matrices there are says what is remembered."""

    attn_norm: RMSNorm = w("E")
    queries: NarrowQueries | WideQueries = group()
    short_vector: ShortVector = group()
    kv: AbsorbedKV | MadeKV = group()
    attn_output: Linear = w("E, H*W")
    ffn_norm: RMSNorm = w("E")


class LatentLlama(llama.Llama):
    """Llama with latent attention; rope over neighbours."""

    def state(self, index: int) -> KV:
        c = self.config.at(index)
        if isinstance(self.layers[index].kv, AbsorbedKV):
            return Latent(c.n_latent + c.rope_dim, c.n_latent)
        return KV(c.n_head, c.key_dim, c.head_value_dim)

    def attention(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        plain, turned = w.queries(x)  # [T, H, N] [T, H, R]
        short, turned_key = w.short_vector(x)  # [T, C] [T, 1, R]
        turned, turned_key = self.rotate(turned, turned_key, w, step)
        q, k, v = w.kv(plain, see("q_pe", turned), short, see("k_pe", turned_key))
        q, k, v = see("Qcur", q), see("Kcur", k), see("Vcur", v)
        y = w.kv.values(self.attend(q, k, v, w, cache, step))  # [T, H, W]
        y = see("kqv_out", y.view(x.shape[0], y.shape[1] * y.shape[2]))  # [T, H*W]
        return see("attn_out", w.attn_output(y))  # [T, E]

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        width, turned = keys.shape[2], self.config.rope_dim
        moved = super().move(index, part(keys, width - turned, turned), by)
        return ops.join(part(keys, 0, width - turned), moved)
