"""Granite Switch: Granite with several LoRA adapters in one file, switched by tokens of the text.

A token that stands for an adapter switches it on for itself and all that follow. How each position
knows: one head of attention, beside the layers, in which such tokens outshine all others, and whose
value is the adapter's number. So the cache remembers it, whatever is shared, copied or taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..cache import KV, Step
from ..errors import FormatError
from ..nn import Block, FusedQKV, Leaf, RMSNorm, block, group, w
from ..ops import scope, see
from ..tensor import Tensor
from . import granite
from ._config import key, list_key
from .granite import scaled


@dataclass(frozen=True)
class Config(granite.Config):
    """Adapter i has its own token, which is computed as another one; 0 is none of them."""

    n_adapters: int = key("adapters.count")
    lora_rank: int = key("adapters.lora_rank")
    adapter_tokens: tuple[int, ...] = list_key("adapters.token_ids_activate")
    substitutes: tuple[int, ...] = list_key("adapters.token_ids_substitute")
    router_gain: float = key("adapters.router_gain", 15.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.adapter_tokens) == len(self.substitutes) == self.n_adapters:
            raise FormatError(
                f"{self.n_adapters} adapters have {len(self.adapter_tokens)} tokens and "
                f"{len(self.substitutes)} substitutes: the file is damaged, convert it again",
                field="adapters.count",
            )

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "S": self.n_adapters + 1, "A": self.lora_rank}


@block
class Delta(Leaf):
    """What adapters add to a projection: each row goes through two small matrices of its own."""

    lora_a: Tensor
    lora_b: Tensor

    @classmethod
    def endings(cls, shape: Sequence[str]) -> dict[str, Sequence[str]]:
        n_out, n_in = shape
        return {"weight": shape, "lora_a": ("S", "A", n_in), "lora_b": ("S", n_out, "A")}

    def delta(self, x: Tensor, ids: Tensor) -> Tensor:
        y = ops.expert_matmul(x.view(x.shape[0], 1, x.shape[1]), self.lora_a, ids)  # [T, 1, A]
        y = ops.expert_matmul(y, self.lora_b, ids)
        return y.view(y.shape[0], y.shape[2])


@block
class SwitchedLinear(Delta):
    """A projection with what the adapters add to it."""

    weight: Tensor

    def __call__(self, x: Tensor, ids: Tensor) -> Tensor:
        return ops.matmul(x, self.weight) + self.delta(x, ids)


@block
class Layer(Block):
    """Granite's, with adapters everywhere."""

    attn_norm: RMSNorm = w("E")
    attn: FusedQKV = group()
    q_delta: Delta = w("H*D, E", name="attn_q")
    k_delta: Delta = w("K*D, E", name="attn_k")
    v_delta: Delta = w("K*D, E", name="attn_v")
    attn_output: SwitchedLinear = w("E, H*D")
    ffn_norm: RMSNorm = w("E")
    ffn_gate: SwitchedLinear = w("F, E")
    ffn_up: SwitchedLinear = w("F, E")
    ffn_down: SwitchedLinear = w("E, F")


class GraniteSwitch(granite.Granite):
    """As Granite; the last state is that of the head that switches."""

    Config, Layer = Config, Layer

    def setup(self) -> None:
        super().setup()
        c = self.config
        if any(not 0 <= t < self.n_vocab for t in (*c.adapter_tokens, *c.substitutes)):
            raise FormatError(
                f"a token of an adapter is none of the vocabulary of {self.n_vocab}: the file is "
                f"damaged, convert it again",
                field="adapters.token_ids_activate",
            )
        adapters, computed = np.zeros(self.n_vocab), np.arange(self.n_vocab)
        adapters[list(c.adapter_tokens)] = np.arange(c.n_adapters) + 1
        computed[list(c.adapter_tokens)] = c.substitutes
        self.adapters = Tensor.of(adapters.astype(np.int32), self.backend)
        self.computed = Tensor.of(computed.astype(np.int32), self.backend)
        # heads whose first value says all
        queries, keys, values = np.zeros((3, c.n_adapters + 1, 1, c.head_dim), np.float32)
        queries[..., 0] = 1
        keys[..., 0] = c.router_gain
        keys[0, :, 0] = -c.router_gain
        values[:, 0, 0] = np.arange(c.n_adapters + 1)
        self.router = [Tensor.of(heads, self.backend) for heads in (queries, keys, values)]

    def states(self) -> list[Any]:
        return [*super().states(), KV(1, self.config.head_dim)]

    def embed(self, step: Step) -> Tensor:
        x = self.ends.token_embd(ops.translate(step.tokens, self.computed))  # [T, E]
        return scaled(x, self.config.embedding_scale)

    def __call__(self, step: Step) -> Tensor | None:
        step.begin()
        x = see("inp_embd", self.embed(step))  # [T, E]
        *caches, router = step.states
        ids = self.switch(router, step)  # [T, 1]
        for layer, cache in zip(self.layers, caches, strict=True):
            with scope(f"blk.{layer.index}."):
                x = self.at(x, layer.index)
                x = see("l_out", self.switched(x, layer, cache, step, ids))  # [T, E]
        if not step.outputs.size:
            return None
        x = self.at_output(ops.lookup(step.outputs, x))  # [O, E]
        return see("result_output", self.head(x))  # [O, V]

    def switch(self, cache: Any, step: Step) -> Tensor:
        """The adapter of each token."""
        own = ops.translate(step.tokens, self.adapters)
        q, k, v = (ops.lookup(own, heads) for heads in self.router)  # [T, 1, D] each
        seen = see("router_out", cache.attend(q, k, v, step, scale=1.0))  # [T, 1, D]
        return see("adapter_ids", ops.nearest_choice(seen, highest=self.config.n_adapters))

    def switched(self, x: Tensor, w: Any, cache: Any, step: Step, ids: Tensor) -> Tensor:
        """One layer."""
        by = self.config.residual_scale
        y = self.attend_switched(w.attn_norm(x), w, cache, step, ids)
        x = see("ffn_inp", x + scaled(y, by))  # [T, E]
        y = w.ffn_norm(x)
        y = ops.silu_gate(w.ffn_gate(y, ids), w.ffn_up(y, ids))  # [T, F]
        return x + scaled(see("ffn_out", w.ffn_down(y, ids)), by)  # [T, E]

    def attend_switched(self, x: Tensor, w: Any, cache: Any, step: Step, ids: Tensor) -> Tensor:
        deltas = (w.q_delta, w.k_delta, w.v_delta)
        q, k, v = (
            heads + delta.delta(x, ids).view(*heads.shape)
            for heads, delta in zip(w.attn(x), deltas, strict=True)
        )  # [T, H, D] [T, K, D] [T, K, D]
        q, k = self.rotate(q, k, w, step)
        q, k, v = see("Qcur", q), see("Kcur", k), see("Vcur", v)
        y = self.attend(q, k, v, w, cache, step)  # [T, H, D]
        y = see("attn_pre_o", y.view(x.shape[0], y.shape[1] * y.shape[2]))  # [T, H*D]
        return see("attn_out", w.attn_output(y, ids))  # [T, E]

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        return keys if index == len(self.layers) else super().move(index, keys, by)
