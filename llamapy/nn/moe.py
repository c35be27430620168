"""Mixtures of experts: a router gives each token a few feed-forward networks of many."""

from __future__ import annotations

from .. import ops
from ..tensor import Tensor
from .linear import ExpertLinear, Linear
from .weights import Block, block, w


@block
class SwiGLUExperts(Block):
    """Gated by SiLU; the chosen experts' probabilities, brought to the sum 1, weigh them."""

    ffn_gate_inp: Linear = w("X, E")
    ffn_gate_exps: ExpertLinear = w("X, M, E")
    ffn_up_exps: ExpertLinear = w("X, M, E")
    ffn_down_exps: ExpertLinear = w("X, E, M")

    def __call__(self, x: Tensor) -> Tensor:
        ids, weights = self.route(x)  # [T, C] each
        rows = x.view(x.shape[0], 1, x.shape[1])
        gate = ops.see("ffn_moe_gate", self.ffn_gate_exps(rows, ids))  # [T, C, M]
        up = ops.see("ffn_moe_up", self.ffn_up_exps(rows, ids))  # [T, C, M]
        y = ops.see("ffn_moe_swiglu", ops.silu_gate(gate, up))  # [T, C, M]
        y = ops.see("ffn_moe_down", self.ffn_down_exps(y, ids))  # [T, C, E]
        return ops.see("ffn_moe_out", ops.expert_sum(y, weights))  # [T, E]

    def route(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Each token's experts, and their weights."""
        logits = ops.see("ffn_moe_logits", self.ffn_gate_inp(x))  # [T, X]
        probabilities = ops.see("ffn_moe_probs", ops.softmax(logits))  # [T, X]
        ids = ops.choose_experts(probabilities, None, count=self.config.n_expert_used)
        weights = ops.normalize_weights(ops.expert_weights(probabilities, ids))
        return ops.see("ffn_moe_topk", ids), ops.see("ffn_moe_weights_norm", weights)
