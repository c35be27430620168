"""Looking inside with the model's own means: what each layer would say, and who its experts are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError, UnsupportedError
from ..models import Encoder
from ..ops import Hook
from ..tensor import Tensor

if TYPE_CHECKING:
    from .model import Model

Floats = NDArray[np.float32]

# what a router gives last: the later ones are there in some models only
WEIGHTS = (
    "ffn_moe_weights",
    "ffn_moe_weights_softmax",
    "ffn_moe_weights_norm",
    "ffn_moe_weights_scaled",
)


def logit_lens(
    model: Model, tokens: Sequence[int], *, encoder_tokens: Sequence[int] | None = None
) -> Floats:
    """The logits [layers + 1, n, V] if the model ended here: after the embedding, and each layer.

    The last norm and the output are put behind every layer; behind the last one, that gives the
    model's own logits (nostalgebraist, "interpreting GPT: the logit lens", 2020).
    """
    decoder = model.decoder
    if isinstance(decoder, Encoder):
        raise UnsupportedError(
            f"{type(decoder).__name__} has no logits: forward with hidden= gives its states"
        )
    layers = range(len(decoder.layers) + 1)
    out = model.forward(tokens, encoder_tokens=encoder_tokens, logits="none", hidden=layers)
    rows = [decoder.head(Tensor.of(out.hidden[i], model.backend)).numpy().copy() for i in layers]
    return np.stack(rows)


@dataclass(frozen=True)
class Routing:
    """The experts of one layer: which ones each token went to, and how much each counted."""

    experts: NDArray[np.int32]  # [n, used]
    weights: Floats  # [n, used]


def routing(
    model: Model,
    tokens: Sequence[int],
    *,
    force: Mapping[int, Sequence[int]] | None = None,
    ban: Mapping[int, Collection[int]] | None = None,
) -> dict[int, Routing]:
    """Where the tokens went, for every layer that has experts.

    `force={3: (0, 5)}` sends all tokens of layer 3 to these, `ban={2: {7}}` sends none of layer 2
    there. To compute with such a choice, use `force_experts` and `ban_experts` as hooks.
    """
    if not any("ffn_gate_inp." in name for name in model.decoder.weights()):
        raise UnsupportedError(f"{type(model.decoder).__name__} has no experts in this file")
    hooks = {
        f"blk.{layer}.ffn_moe_topk": force_experts(*ids) for layer, ids in (force or {}).items()
    }
    hooks |= {f"blk.{layer}.ffn_moe_probs": ban_experts(*ids) for layer, ids in (ban or {}).items()}
    before = dict(model.hooks)
    model.hooks.update(hooks)
    try:
        seen = model.forward(tokens, capture=("blk.*.ffn_moe_topk", "blk.*.ffn_moe_weights*"))
    finally:
        model.hooks.clear()
        model.hooks.update(before)
    found = {}
    for name, experts in seen.captured.items():
        block, _, point = name.rpartition(".")
        if point != "ffn_moe_topk":
            continue
        last = next(w for w in reversed(WEIGHTS) if f"{block}.{w}" in seen.captured)
        weights = seen[f"{block}.{last}"].reshape(experts.shape)
        found[int(block.partition(".")[2])] = Routing(experts, weights)
    return found


def force_experts(*experts: int) -> Hook:
    """A hook for `blk.N.ffn_moe_topk`: every token goes to these, weighed by its own scores."""

    def hook(name: str, ids: NDArray[Any]) -> NDArray[Any]:
        if len(experts) != ids.shape[-1]:
            raise ShapeError(
                f"{name} has {ids.shape[-1]} experts for each token, and {len(experts)} are "
                f"forced: name as many"
            )
        return np.broadcast_to(np.array(experts, ids.dtype), ids.shape)

    return hook


def ban_experts(*experts: int) -> Hook:
    """A hook for `blk.N.ffn_moe_probs`: no token goes to these. The others' scores stay."""

    def hook(name: str, scores: NDArray[Any]) -> NDArray[Any]:
        scores[..., list(experts)] = -np.inf
        return scores

    return hook
