"""Mixtures of experts: a router gives each token a few feed-forward networks of many.

A mixture is a router, experts, and where the file has one, an expert that all tokens share. The
type of the router says how experts are scored, the type of the experts by which activation they
are gated. What else there is shows in the file: a bias of the choice, groups of experts, a scale of
the weights, one matrix for gate and up, a gate of the shared expert.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import ops
from ..errors import UnsupportedError
from ..tensor import Tensor
from .linear import ExpertLinear, Linear
from .weights import Block, Leaf, block, group, w

# ---- routers: who gets a token


@block
class SelectionBias(Leaf):
    """Added to the scores that experts are chosen by, and not to the weights of the chosen."""

    bias: Tensor

    @classmethod
    def endings(cls, shape: Sequence[str]) -> dict[str, Sequence[str]]:
        return {"bias": shape}


@block
class UnsuffixedSelectionBias(SelectionBias):
    """The same, in files that call it `exp_probs_b`, without an ending."""

    @classmethod
    def tensor_name(cls, path: str, ending: str) -> str:
        return path


@block
class Router(Block):
    """Scores all experts, chooses the best, and weighs them. A type says how scores are made."""

    ffn_gate_inp: Linear = w("X, E")
    exp_probs_b: SelectionBias | UnsuffixedSelectionBias | None = w("X")

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Each token's experts, and their weights, [T, C] both."""
        return self.choose(ops.see("ffn_moe_logits", self.ffn_gate_inp(x)))

    def choose(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The experts of these logits [T, X], and their weights."""
        c = self.config
        scores = ops.see("ffn_moe_probs", self.scores(logits))  # [T, X]
        ids = ops.choose_experts(
            scores,
            self.exp_probs_b and self.exp_probs_b.bias,
            count=c.n_expert_used,
            groups=c.n_expert_groups,
            groups_used=c.n_expert_groups_used,
        )
        ids = ops.see("ffn_moe_topk", ids)  # [T, C]
        weights = self.weigh(_see("ffn_moe_weights", ops.expert_weights(scores, ids)))
        return ids, weights

    def scores(self, logits: Tensor) -> Tensor:
        """What experts are chosen and weighed by, from the logits."""
        raise NotImplementedError

    def weigh(self, weights: Tensor) -> Tensor:
        """The weights of the chosen experts, from their scores."""
        c = self.config
        if c.expert_norm:
            weights = ops.see("ffn_moe_weights_norm", ops.normalize_weights(weights))
        if c.expert_scale not in (0.0, 1.0):  # 0 says that there is none
            weights = _see("ffn_moe_weights_scaled", ops.scale(weights, by=c.expert_scale))
        return weights


@block
class SoftmaxRouter(Router):
    """All experts' scores are of sum 1."""

    def scores(self, logits: Tensor) -> Tensor:
        return ops.softmax(logits)


@block
class SigmoidRouter(Router):
    """Each expert is scored by itself."""

    def scores(self, logits: Tensor) -> Tensor:
        return ops.sigmoid(logits)


@block
class SqrtSoftplusRouter(Router):
    """Each by itself, and without an upper end."""

    def scores(self, logits: Tensor) -> Tensor:
        return ops.sqrt_softplus(logits)


@block
class ChosenSoftmaxRouter(Router):
    """Chosen by their logits; the chosen ones' weights are of sum 1."""

    def scores(self, logits: Tensor) -> Tensor:
        return logits

    def weigh(self, weights: Tensor) -> Tensor:
        return Router.weigh(self, _see("ffn_moe_weights_softmax", ops.softmax(weights)))


# as files number them, in `expert_gating_func`
ROUTERS: dict[int, type[Router]] = {
    1: SoftmaxRouter,
    2: SigmoidRouter,
    3: ChosenSoftmaxRouter,
    4: SqrtSoftplusRouter,
}


@block
class StatedRouter(Router):
    """Of the kind that the file states."""

    @property
    def kind(self) -> type[Router]:
        return router_kind(self.config.expert_gating)

    def scores(self, logits: Tensor) -> Tensor:
        return self.kind.scores(self, logits)

    def weigh(self, weights: Tensor) -> Tensor:
        return self.kind.weigh(self, weights)


def router_kind(number: int) -> type[Router]:
    """The kind of router that a file's number stands for."""
    if number not in ROUTERS:
        raise UnsupportedError(
            f"expert_gating_func is {number}, and {', '.join(map(str, ROUTERS))} are known: other "
            f"experts would be chosen, so the model is not loaded"
        )
    return ROUTERS[number]


# ---- experts: what they compute


@block
class SplitGateUp(Block):
    """Two matrices for each expert."""

    ffn_gate_exps: ExpertLinear = w("X, M, E")
    ffn_up_exps: ExpertLinear = w("X, M, E")

    def __call__(self, rows: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        gate = ops.see("ffn_moe_gate", self.ffn_gate_exps(rows, ids))  # [T, C, M]
        return gate, ops.see("ffn_moe_up", self.ffn_up_exps(rows, ids))  # [T, C, M]


@block
class FusedGateUp(Block):
    """One matrix: gate, then up."""

    ffn_gate_up_exps: ExpertLinear = w("X, 2*M, E")

    def __call__(self, rows: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        both = ops.see("ffn_moe_gate_up", self.ffn_gate_up_exps(rows, ids))  # [T, C, 2*M]
        t, c, width = both.shape
        flat = both.view(t * c, width)
        gate = ops.columns(flat, start=0, count=width // 2).view(t, c, width // 2)
        up = ops.columns(flat, start=width // 2, count=width // 2).view(t, c, width // 2)
        return ops.see("ffn_moe_gate", gate), ops.see("ffn_moe_up", up)


@block
class SharedSwiGLU(Block):
    """An expert that every token goes to."""

    ffn_gate_shexp: Linear = w("S, E")
    ffn_up_shexp: Linear = w("S, E")
    ffn_down_shexp: Linear = w("E, S")

    def __call__(self, x: Tensor) -> Tensor:
        y = ops.swiglu(x, self.ffn_gate_shexp, self.ffn_up_shexp)  # [T, S]
        return ops.see("ffn_shexp", self.ffn_down_shexp(y))  # [T, E]


@block
class GatedSharedSwiGLU(SharedSwiGLU):
    """One that every token goes to, and a sigmoid says how much it counts."""

    ffn_gate_inp_shexp: Linear = w("1, E")

    def __call__(self, x: Tensor) -> Tensor:
        y = super().__call__(x)  # [T, E]
        gate = ops.see("ffn_shexp_gate", ops.sigmoid(self.ffn_gate_inp_shexp(x)))  # [T, 1]
        alone = y.view(y.shape[0], 1, y.shape[1])
        return ops.see("ffn_shexp_out", ops.expert_sum(alone, gate))  # [T, E]


@block
class Mixture(Block):
    """Gated by SiLU. A type says how experts are scored."""

    router: Router = group()
    gate_up: SplitGateUp | FusedGateUp = group()
    ffn_down_exps: ExpertLinear = w("X, E, M")
    shared: GatedSharedSwiGLU | SharedSwiGLU | None = group()

    def __call__(self, x: Tensor) -> Tensor:
        y = self.mix(x, *self.router(x))  # [T, E]
        if self.shared is None:
            return y
        return ops.see("ffn_out", y + self.shared(x))  # [T, E]

    def mix(self, x: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
        """The sum of what each token's experts compute."""
        gate, up = self.gate_up(x.view(x.shape[0], 1, x.shape[1]), ids)  # [T, C, M] both
        y = self.ffn_down_exps(self.activate(gate, up), ids)  # [T, C, E]
        return ops.see("ffn_moe_out", ops.expert_sum(ops.see("ffn_moe_down", y), weights))

    def activate(self, gate: Tensor, up: Tensor) -> Tensor:
        return ops.see("ffn_moe_swiglu", ops.silu_gate(gate, up))


@block
class SwiGLUExperts(Mixture):
    """Gated by SiLU; scored by a softmax."""

    router: SoftmaxRouter = group()


@block
class GeGLUExperts(SwiGLUExperts):
    """Gated by GELU."""

    def activate(self, gate: Tensor, up: Tensor) -> Tensor:
        return ops.see("ffn_moe_geglu", ops.gelu_gate(gate, up))


@block
class ReGLUExperts(SwiGLUExperts):
    """Gated by ReLU."""

    def activate(self, gate: Tensor, up: Tensor) -> Tensor:
        return ops.see("ffn_moe_reglu", ops.relu_gate(gate, up))


@block
class StatedSwiGLUExperts(Mixture):
    """Gated by SiLU; scored as the file states."""

    router: StatedRouter = group()


def _see(name: str, weights: Tensor) -> Tensor:
    """Mark weights [T, C] under a name that llama.cpp gives to columns [T, C, 1]."""
    t, c = weights.shape
    return ops.see(name, weights.view(t, c, 1)).view(t, c)
