"""How many of the likeliest tokens a sampler needs to see."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .choosing import Greedy
from .cutting import TopK, TopNSigma
from .repeating import DRY, Penalties
from .reweighing import LogitBias
from .stage import Stage

# stages that may stand before one that cuts, and what says that they leave all logits alone
IDLE: dict[type[Stage], Callable[[Any], bool]] = {
    DRY: lambda stage: not stage.is_on,
    LogitBias: lambda stage: not len(stage.bias),
    Penalties: lambda stage: not stage.is_on,
    TopK: lambda stage: stage.k <= 0,
    TopNSigma: lambda stage: stage.n <= 0,
}


def enough(stages: Iterable[Stage]) -> int | None:
    """How many of the largest logits decide what these stages choose; None: all of them.

    Only where the first stage that does anything keeps the likeliest tokens: those behind it see
    no others. A stage of a kind of its own may do anything.
    """
    for stage in stages:
        kind = type(stage)
        if kind in IDLE and IDLE[kind](stage):
            continue
        if isinstance(stage, TopK) and kind is TopK:
            return stage.k
        return 1 if kind is Greedy else None
    return 1  # if no stage chooses, the likeliest token is taken
