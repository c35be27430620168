"""What Gemma 3n and 4 share: an embedding for each layer, and late layers that look keys up.

Beside the one that the model begins with, each token has an embedding for every layer, which comes
in at the layer's end. The last layers have no keys and values: they ask those of an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import ops
from ..cache import KV, Step
from ..cache.borrowed import BorrowedKV
from ..errors import FormatError
from ..nn import Block, Embedding, FusedQKV, GeGLU, Linear, RMSNorm, block, group, w
from ..ops import scope, see
from ..tensor import Tensor
from . import gemma3
from ._config import key, layer_key


@dataclass(frozen=True)
class Config(gemma3.Config):
    """Scores are not scaled."""

    window: int = key("attention.sliding_window")
    window_pattern: int | bool = layer_key("attention.sliding_window_pattern", 5)
    n_per_layer: int = key("embedding_length_per_layer_input")
    n_borrowing: int = key("attention.shared_kv_layers", 0)
    final_softcap: float = key("final_logit_softcapping", 30.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_lenders()

    def check_lenders(self) -> None:
        """Refuse a layer that should use the keys of one that sees less, or more."""
        for layer in range(self.n_remembering, self.n_layer):
            lender = self.lender(layer)
            if lender < 0 or self.is_windowed(lender) != self.is_windowed(layer):
                raise FormatError(
                    f"layer {layer} should use the keys of layer {lender}, which sees another "
                    f"part of the past: convert the model again",
                    field="attention.shared_kv_layers",
                )

    @property
    def attn_scale(self) -> float:
        return 1.0

    @property
    def n_remembering(self) -> int:
        """How many layers, from the first on, have keys and values of their own."""
        return self.n_block - self.n_borrowing

    def lender(self, layer: int) -> int:
        """The layer whose keys and values a late one uses: the last of those that see as much."""
        return self.n_remembering - (2 if self.is_windowed(layer) else 1)

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "P": self.n_per_layer}


@block
class Embeddings(Block):
    """For each token and layer a vector: learned for the token, and made of its embedding."""

    per_layer_token_embd: Embedding = w("V, L*P")
    per_layer_model_proj: Linear = w("L*P, E")
    per_layer_proj_norm: RMSNorm = w("P")

    def __call__(self, tokens: Tensor, x: Tensor) -> Tensor:
        c, t = self.config, x.shape[0]
        learned = ops.scale(self.per_layer_token_embd(tokens), by=c.n_per_layer**0.5)
        learned = learned.view(t, c.n_layer, c.n_per_layer)  # [T, L, P]
        learned = see("inp_per_layer_selected", learned)
        made = ops.scale(self.per_layer_model_proj(x), by=c.n_embd**-0.5)
        made = self.per_layer_proj_norm(made.view(t, c.n_layer, c.n_per_layer))
        both = ops.scale(see("per_layer_proj", made) + learned, by=0.5**0.5)
        return see("inp_per_layer", both).view(t, -1)  # [T, L*P]


@block
class Entrance(Block):
    """Where the layer's own embedding comes in: it gates what the hidden state says."""

    inp_gate: Linear = w("P, E")
    proj: Linear = w("E, P")
    post_norm: RMSNorm = w("E")

    def __call__(self, x: Tensor, own: Tensor) -> Tensor:
        return self.post_norm(self.proj(ops.gelu_gate(self.inp_gate(x), own)))  # [T, E]


@block
class QueryProjection(Block):
    """A matrix for queries. Files may have those for keys and values, too, which nothing needs."""

    attn_q: Linear = w("H*D, E")
    attn_k: Linear | None = w("K*D, E")
    attn_v: Linear | None = w("K*D, E")

    def queries(self, x: Tensor) -> Tensor:
        return self.attn_q(x).view(x.shape[0], self.config.n_head, self.config.head_dim)


@block
class SplitProjections(QueryProjection):
    """Three matrices. Without one for values, keys that are not yet normed are the values too."""

    attn_k: Linear = w("K*D, E")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c, t = self.config, x.shape[0]
        k = self.attn_k(x).view(t, c.n_head_kv, c.head_dim)  # [T, K, D]
        v = k
        if self.attn_v is not None:
            v = self.attn_v(x).view(t, c.n_head_kv, c.head_dim)  # [T, K, D]
        return self.queries(x), k, v


@block
class FusedProjections(FusedQKV):
    """One matrix."""

    def queries(self, x: Tensor) -> Tensor:
        return self(x)[0]


@block
class Layer(Block):
    """Norms on both sides of both blocks."""

    attn_norm: RMSNorm = w("E")
    attn: SplitProjections | FusedProjections = group()
    attn_q_norm: RMSNorm = w("D")
    attn_k_norm: RMSNorm = w("D")
    attn_output: Linear = w("E, H*D")
    post_attention_norm: RMSNorm = w("E")
    ffn_norm: RMSNorm = w("E")
    ffn: GeGLU = group()
    post_ffw_norm: RMSNorm = w("E")


class PerLayerGemma(gemma3.Gemma3):
    """Gemma 3 whose values are normed, too, without weights."""

    Borrowing: ClassVar[type[Block]]  # a layer that uses another's keys

    @classmethod
    def layer_type(cls, config: Any, number: int) -> type[Block]:
        return cls.Layer if number < config.n_remembering else cls.Borrowing

    def state(self, index: int) -> KV:
        c = self.config.at(index)
        window = c.window if self.config.is_windowed(index) else None
        return KV(c.n_head_kv, c.head_dim, c.value_dim, window=window)

    def states(self) -> list[Any]:
        c = self.config
        states = [self.state(index) for index in range(min(c.n_layer, c.n_remembering))]
        for index in range(len(states), c.n_layer):
            states.append(BorrowedKV(states[c.lender(index)]))
        return states

    def run_layers(self, x: Tensor, step: Step) -> Tensor:
        inputs = self.inputs(x, step)  # [T, L*P]
        width = self.config.n_per_layer
        for index, (layer, cache) in enumerate(zip(self.layers, step.states, strict=True)):
            with scope(f"blk.{index}."):
                x, inputs = self.at(x, index), inputs and self.at(inputs, index)
                x = self.layer(x, layer, cache, step)
                own = inputs and ops.columns(inputs, start=index * width, count=width)  # [T, P]
                x = see("l_out", self.finish(x, layer, own))
        return x

    def inputs(self, x: Tensor, step: Step) -> Tensor | None:
        """The embeddings of all layers."""
        raise NotImplementedError

    def finish(self, x: Tensor, w: Any, own: Tensor | None) -> Tensor:
        """A layer's end, where its own embedding comes in."""
        raise NotImplementedError

    def attention(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        rope = self.rope_of(w.index)
        assert rope is not None
        if isinstance(cache, BorrowedKV):
            q = self.turned_queries(w.attn.queries(x), w, step)  # [T, H, D]
            y = cache.look_up(q, step, scale=self.config.attn_scale)
        else:
            q, k, v = w.attn(x)  # [T, H, D] [T, K, D] [T, K, D]
            q, k, v = self.turned_queries(q, w, step), see("Kcur", k), see("Vcur", v)
            k = see("Kcur_normed", w.attn_k_norm(k))
            v = see("Vcur_normed", ops.rms_norm(v, None, eps=self.config.norm_eps))
            k = see("Kcur_pos", rope(k, step.positions))
            y = self.attend(q, k, v, w, cache, step)  # [T, H, D]
        y = see("kqv_out", y.view(x.shape[0], y.shape[1] * y.shape[2]))  # [T, H*D]
        return w.attn_output(y)  # [T, E]

    def turned_queries(self, q: Tensor, w: Any, step: Step) -> Tensor:
        rope = self.rope_of(w.index)
        assert rope is not None
        q = see("Qcur_normed", w.attn_q_norm(see("Qcur", q)))
        return see("Qcur_pos", rope(q, step.positions))
