"""Operations of one kernel, whose arguments are what the operation's signature says.

The result comes first, then the operands, the parameters, and the size of each letter of the
signature, `...` as one number. An operation that writes into an operand has no result beside.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...ops import OPERATIONS, Op
from ...ops._signature import evaluate
from .device import Call, number
from .memory import Buffer
from .source import Program

LANES = 64


@dataclass(frozen=True)
class Declared:
    """A kernel by its file and name, and what there is a lane for, or a group of lanes."""

    program: str
    kernel: str  # empty: that of the operation's name
    over: str  # how many, as arithmetic in letters and parameters
    lanes: int  # of those that one group has


def lane_for_each(values: str, program: str, kernel: str = "") -> Declared:
    """A lane for each of so many values."""
    return Declared(program, kernel, values, LANES)


def group_for_each(rows: str, program: str, kernel: str = "") -> Declared:
    """A group of lanes for each of so many rows."""
    return Declared(program, kernel, rows, 1)


def kernels(declared: Mapping[str, Declared]) -> dict[str, Callable[..., Iterator[Call]]]:
    """What computes these operations."""
    return {name: functools.partial(lower, how, name) for name, how in declared.items()}


# `rest` are the sizes of `...`
_MAPS = (
    "add gelu gelu_erf gelu_erf_gate gelu_gate gelu_quick mul mul_scalar relu relu_gate "
    "relu_squared scale clipped_gate sigmoid silu silu_gate softcap softplus sqrt_softplus xielu"
)
DECLARED = {
    **{name: lane_for_each("rest", "elementwise") for name in _MAPS.split()},
    "clamp": lane_for_each("rest", "elementwise", "clamp_"),
    "exp": lane_for_each("rest", "elementwise", "exp_"),
    "tanh": lane_for_each("rest", "elementwise", "tanh_"),
    "add_bias": lane_for_each("rest*k", "elementwise"),
    "mul_columns": lane_for_each("rest*k", "elementwise"),
    "div_columns": lane_for_each("rest*k", "elementwise"),
    "mul_heads": lane_for_each("n*h*d", "elementwise"),
    "rms_norm": group_for_each("rest", "norm"),
    "layer_norm": group_for_each("rest", "norm"),
    "head_layer_norm": group_for_each("n*h", "norm"),
    "group_norm": group_for_each("groups", "norm"),
    "rope_pairs": lane_for_each("n*h*d", "rope"),
    "rope_halves": lane_for_each("n*h*d", "rope"),
    "rope_sections": lane_for_each("n*h*d", "rope"),
    "place": lane_for_each("n", "cells"),
}


def lower(
    declared: Declared, name: str, gpu: Any, out: Any, *buffers: Any, **params: Any
) -> Iterator[Call]:
    """The one launch of a declared operation."""
    operation = OPERATIONS[name]
    sizes = letters(operation, buffers)
    count = evaluate(declared.over, {**sizes, **params})
    results = [] if operation.signature.writes is not None else [out]
    yield gpu.call(
        declared.kernel or name,
        Program(declared.program, lanes=LANES),
        -(-count // declared.lanes),
        [*results, *buffers, *parameters(operation, params), *sizes.values()],
    )


def letters(operation: Op, buffers: Sequence[Buffer | None]) -> dict[str, int]:
    """The size of each letter, in their order; those of `...` multiplied, as `rest`."""
    sizes: dict[str, int] = {}
    for operand, buffer in zip(operation.signature.operands, buffers, strict=True):
        names = operand.letters
        shape = buffer.shape if buffer is not None else (0,) * len(names)
        if "..." in names:
            at, after = names.index("..."), len(names) - names.index("...") - 1
            middle = shape[at : len(shape) - after]
            shape = (*shape[:at], math.prod(middle), *shape[len(shape) - after :])
            names = tuple("rest" if letter == "..." else letter for letter in names)
        for letter, size in zip(names, shape, strict=True):
            sizes[letter] = sizes.get(letter) or size
    return sizes


def parameters(operation: Op, params: Mapping[str, Any]) -> list[Any]:
    """The parameters in their order, as numbers that kernels take."""
    return [number(params[name], whole) for name, whole in _kinds(operation.name)]


@functools.cache
def _kinds(name: str) -> tuple[tuple[str, bool], ...]:
    """The parameters of an operation, each with whether it is a whole number."""
    operation = OPERATIONS[name]
    annotations = operation.definition.__annotations__
    return tuple((each, "float" not in str(annotations[each])) for each in operation.params)


def _softmax(gpu: Any, out: Buffer, x: Buffer) -> Iterator[Call]:
    columns = x.shape[-1]
    yield gpu.call("softmax", "norm", x.size // max(1, columns), [out, x, columns])


KERNELS = {"softmax": _softmax, **kernels(DECLARED)}
PROGRAMS = [Program("elementwise"), Program("norm"), Program("rope")]
