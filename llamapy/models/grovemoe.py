"""GroveMoE: what a token's experts give is adjusted by smaller ones, one for a chunk of experts."""

from __future__ import annotations

from dataclasses import dataclass

from .. import ops
from ..nn import Block, ExpertLinear, SoftmaxRouter, SwiGLUExperts, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import llama, qwen3
from ._config import key, layer_key


@dataclass(frozen=True)
class Config(llama.Config):
    """How many experts are a chunk, how large its own one is, and how much that counts."""

    n_ff_expert: int = layer_key("expert_feed_forward_length")
    n_ff_chunk: int = key("expert_chunk_feed_forward_length", lambda c: c.head_dim)
    chunk_scale: float = key("expert_group_scale")
    chunk_size: int = key("experts_per_group")

    @property
    def n_chunk(self) -> int:
        return self.n_expert // self.chunk_size

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "G": self.n_chunk, "N": self.n_ff_chunk}


@block
class GroveRouter(SoftmaxRouter):
    """Chooses by sigmoids, and weighs by a softmax."""

    def of_experts(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        ids = self.best(logits, self.config.n_expert_used)
        return ids, self.weights_of(logits, ids)

    def of_chunks(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """A chunk is chosen for its best expert, and weighed as the expert of its own number."""
        c = self.config
        ids = self.best(logits, min(c.n_expert_used, c.n_chunk))
        if c.chunk_size > 1:
            ids = ops.chunks_of_experts(ids, size=c.chunk_size)
        return ids, self.weights_of(logits, ids)

    def best(self, logits: Tensor, count: int) -> Tensor:
        c = self.config
        return ops.choose_experts(
            see("ffn_moe_probs_biased", ops.sigmoid(logits)),
            None,
            count=count,
            groups=c.n_expert_groups,
            groups_used=c.n_expert_groups_used,
        )  # [T, C]

    def weights_of(self, logits: Tensor, ids: Tensor) -> Tensor:
        scores = see("ffn_moe_probs", self.scores(logits))  # [T, X]
        return self.weigh(ops.expert_weights(scores, ids))  # [T, C]


@block
class Chunks(Block):
    """The smaller experts."""

    ffn_gate_chexps: ExpertLinear = w("G, N, E")
    ffn_up_chexps: ExpertLinear = w("G, N, E")
    ffn_down_chexps: ExpertLinear = w("G, E, N")

    def __call__(self, x: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
        rows = x.view(x.shape[0], 1, x.shape[1])
        gate = see("ffn_moe_gate", self.ffn_gate_chexps(rows, ids))  # [T, C, N]
        up = see("ffn_moe_up", self.ffn_up_chexps(rows, ids))  # [T, C, N]
        y = see("ffn_moe_swiglu", ops.silu_gate(gate, up))  # [T, C, N]
        y = see("ffn_moe_down", self.ffn_down_chexps(y, ids))  # [T, C, E]
        return see("ffn_adj_moe_out", ops.expert_sum(y, weights))  # [T, E]


@block
class GroveExperts(SwiGLUExperts):
    """Experts, and behind them the chunks' own."""

    router: GroveRouter = group()
    chunks: Chunks = group()

    def __call__(self, x: Tensor) -> Tensor:
        logits = see("ffn_moe_logits", self.router.ffn_gate_inp(x))  # [T, X]
        y = self.mix(x, *self.router.of_experts(logits))  # [T, E]
        adjustment = self.chunks(y, *self.router.of_chunks(logits))  # [T, E]
        y = y + ops.scale(adjustment, by=self.config.chunk_scale)
        return see("ffn_final_moe_out", y)  # [T, E]


@block
class Layer(qwen3.Layer):
    """Experts in every layer."""

    ffn: GroveExperts = group()


class GroveMoE(qwen3.Qwen3):
    """As Qwen 3."""

    Config, Layer = Config, Layer
