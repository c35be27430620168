"""Where two devices part: the first point of a model at which they differ, and what led to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import Backend
from ..backends import get as get_backend
from ..cache import Batch
from ..engine.model import Model
from ..models import EncoderDecoder
from ..nn import Linear
from ..ops import OPERATIONS, Fused
from ..plan import Launch, Plan, record
from ..tensor import Tensor
from .model import cache_for, nmse


@dataclass(frozen=True)
class Divergence:
    """The first point at which two models differ, and the operations that led to it."""

    name: str
    nmse: float
    operations: list[str]  # since the last point at which both agreed
    operation: str  # the first of them that is not its definition; empty if all nearly are

    def __str__(self) -> str:
        led = ", ".join(self.operations)
        first = f"; {self.operation} is not its definition" if self.operation else ""
        return f"{self.name} differs by an NMSE of {self.nmse:.1e}, after {led}{first}"


def compare(
    model: Model,
    device: str | Backend,
    other: str | Backend,
    tokens: Sequence[int] = tuple(range(16)),
    *,
    tolerance: float = 1e-8,
) -> Divergence | None:
    """Compute the same tokens with a model on two devices and find where they part, if they do.

    What is inside of a kernel of the other device is not looked at, so that the kernel runs. The
    operations are the other device's.
    """
    with model.on(device) as first, model.on(other) as second:
        plan = _plan(second, tokens)
        source = tokens if isinstance(first.decoder, EncoderDecoder) else None
        names = tuple(dict.fromkeys(plan.names))
        wanted, found = (
            model.forward(tokens, encoder_tokens=source, logits="all", capture=seen).captured
            for model, seen in ((first, ("*",)), (second, names))
        )
        agreed = 0
        for name, launched in plan.points():
            difference = nmse(found[name], wanted[name])
            if not difference <= tolerance:
                operations = [launch.op for launch in plan.launches[agreed:launched]]
                wrong = _first_wrong(plan, agreed, launched, tolerance)
                return Divergence(name, difference, operations, wrong)
            agreed = launched
    return None


def _plan(model: Model, tokens: Sequence[int]) -> Plan:
    cache = cache_for(model, tokens, n_batch=len(tokens), pad=int)
    return record(model.decoder, cache.begin(Batch.of(tokens, logits="all")))


def _first_wrong(plan: Plan, start: int, end: int, tolerance: float) -> str:
    """The first operation of these whose result is not that of its definition."""
    for number, launch in enumerate(plan.launches[:end]):
        if number < start or launch.op not in OPERATIONS:
            launch.run()
            continue
        wanted = _by_definition(launch)
        launch.run()
        if not nmse(launch.out.numpy(), wanted) <= tolerance:
            return launch.op
    return ""


def _by_definition(launch: Launch) -> Any:
    """What NumPy makes of the operands as they are now."""
    host, operation = get_backend("numpy"), OPERATIONS[launch.op]
    args: list[Any] = []
    for operand, arg in zip(operation.signature.operands, launch.args, strict=True):
        if arg is None:
            args.append(None)
            continue
        values = np.array(arg.backend.get(arg.buffer))
        if arg.quant:
            tensor = Tensor.packed(values, arg.shape, arg.quant, host)
        else:
            tensor = Tensor.of(values.reshape(arg.shape), host)
        is_block = isinstance(operation, Fused) and operand.kind == "any"
        args.append(Linear(tensor) if is_block else tensor)
    return operation(*args, **launch.params).numpy()
