"""The contract of a backend: every operation gives what its NumPy definition gives.

    check_backend(MyBackend())

runs each operation that there is on generated operands: one row and many, none at all, sizes that
are no multiple of a tile, every block format, arrays that do not lie in one piece. A new operation
is checked without a line here, as long as its signature says what its operands are.
"""

from __future__ import annotations

import functools
import inspect
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import quants
from ..backends import Backend
from ..backends import get as get_backend
from ..errors import UnsupportedError
from ..nn import Linear
from ..ops import OPERATIONS, Fused, Op
from ..ops._signature import Operand
from ..plan import record
from ..quants.base import Quant
from ..tensor import Tensor

# How far a kernel may be from the definition: the root of the mean square of the difference, over
# that of the result. Moving and choosing is exact; sums differ by their order.
TOLERANCE = 2e-6
EXACT = {
    "choose_experts",
    "chunk_ends",
    "columns",
    "copy_cells",
    "expert_weights",
    "lookup",
    "place",
    "relu",
    "store",
}
TOLERANCES = {
    # angles of float32: a rounding of a large angle turns a pair by that much
    "rope_pairs": 2e-5,
    "rope_halves": 2e-5,
    "rope_sections": 2e-5,
    "attend": 5e-6,
    "softplus": 5e-6,
    **dict.fromkeys(EXACT, 0.0),
}

# sizes of letters that are not free: block formats need rows of whole blocks
ROWS = (1, 3, 16, 17)
BLOCK = 256
PARAMETERS: dict[str, Any] = {
    "eps": 1e-5,
    "by": 0.7,
    "cap": 3.0,
    "low": -0.5,
    "high": 0.8,
    "start": 2,
    "count": 3,
    "groups": 2,
    "groups_used": 1,
    "magnitude": 1.3,
    "strength": 0.4,
    "value": 2.5,
    "limit": 0.6,
    "length": 4,
    "highest": 3,
    "period": 100.0,
    "offset": 1.0,
    "positive": 0.9,
    "negative": 1.2,
    "slope": 0.5,
    "size": 2,
    "times": 2,
}


_PLAIN = {"F32", "F64", "I8", "I16", "I32", "I64"}  # held as numbers, not as blocks


@dataclass(frozen=True)
class Packed:
    """Rows of a block format."""

    raw: NDArray[np.uint8]
    shape: tuple[int, ...]
    quant: type[Quant]


@dataclass(frozen=True)
class Case:
    """Operands and parameters of one call."""

    says: str
    args: Sequence[Any]
    params: Mapping[str, Any]


def check_backend(
    backend: str | Backend,
    operations: Sequence[str] | None = None,
    *,
    tolerances: Mapping[str, float] | None = None,
    formats: Sequence[str] | None = None,
) -> int:
    """Assert that all operations, or some, agree with their definitions; returns how many calls.

    `tolerances` replaces those of `TOLERANCES` for a backend that rounds more, such as one that
    brings activations to 8 bits. Each call is made eagerly, recorded, and replayed.
    """
    tested, reference = get_backend(backend), get_backend("numpy")
    allowed = {**TOLERANCES, **(tolerances or {})}
    n_calls = 0
    for name in operations or sorted(OPERATIONS):
        operation = OPERATIONS[name]
        for case in cases(operation, formats):
            want = _call(operation, case, reference)
            got = _call(operation, case, tested)
            plan_args = _operands(operation, case, tested)
            plan = record(lambda o=operation, a=plan_args, c=case: o(*a, **c.params))
            recorded = plan.output.numpy().copy()
            plan.replay()
            tolerance = allowed.get(name, TOLERANCE)
            for how, result in (
                ("", got),
                (", recorded", recorded),
                (", replayed", plan.output.numpy()),
            ):
                said = f"{name} on {tested.name}{how} ({case.says}, {dict(case.params)})"
                _compare(said, result, want, tolerance)
            n_calls += 1
    return n_calls


def cases(operation: Op, formats: Sequence[str] | None = None) -> Iterator[Case]:
    """Calls to try an operation with."""
    make = _SPECIAL.get(operation.name)
    random = np.random.Generator(np.random.PCG64(zlib.crc32(operation.name.encode())))
    if make is not None:
        yield from make(operation, random, formats)
        return
    for n_rows in (*ROWS, 0):
        for missing in _missing(operation):
            sizes = _sizes(operation, n_rows, random)
            packed: Sequence[type[Quant] | None] = [None]
            if n_rows in (1, 17):
                packed = [None, *_formats(operation, formats)]
            for quant in packed:
                yield _case(operation, sizes, quant, missing, random)


# ---- operands from a signature


def _missing(operation: Op) -> list[tuple[str, ...]]:
    """Which optional operands to leave out: none of them, all of them."""
    optional = tuple(o.name for o in operation.signature.operands if o.optional)
    return [(), optional] if optional else [()]


def _formats(operation: Op, formats: Sequence[str] | None) -> list[type[Quant]]:
    """The block formats to try an operation that takes packed operands with."""
    kinds = {operand.kind for operand in operation.signature.operands}
    if not kinds & {"any", "rows"}:
        return []
    found = [quants.get(name) for name in formats] if formats is not None else quants.formats()
    found = [q for q in found if q.name not in _PLAIN]
    if operation.signature.writes is not None:  # the operation encodes what it writes
        found = [q for q in found if q.importance != "required"]
    return found


def _sizes(operation: Op, n_rows: int, random: np.random.Generator) -> dict[str, Any]:
    """A size for each letter. Those of packed rows divide into blocks; n is the number of rows."""
    last = {o.letters[-1] for o in operation.signature.operands if o.kind in ("any", "rows")}
    sizes: dict[str, Any] = {"n": n_rows, "...": (n_rows, 2), "f": 6, "one": 1}
    sizes["d"] = BLOCK if "d" in last else 16
    for operand in operation.signature.operands:
        for letter in operand.letters:
            size = BLOCK if letter in last else int(random.integers(5, 20))
            sizes.setdefault(letter, size)
    if "..." in last:  # rows of any shape: the last of the sizes is that of the blocks
        sizes["..."] = (3, BLOCK)
    if "groups" in operation.params:
        for letter in ("k", "e"):
            sizes[letter] = 12
    return sizes


def _case(
    operation: Op,
    sizes: dict[str, Any],
    quant: type[Quant] | None,
    missing: tuple[str, ...],
    random: np.random.Generator,
) -> Case:
    args = [
        None if operand.name in missing else _operand(operand, sizes, quant, random)
        for operand in operation.signature.operands
    ]
    params = {}
    for name, default in operation.params.items():
        if name in PARAMETERS:
            params[name] = PARAMETERS[name]
        elif default is inspect.Parameter.empty:
            raise UnsupportedError(
                f"check_backend does not know the parameter {name!r} of {operation.name}: give it "
                f"a default, or add a value to llamapy.testing.backend.PARAMETERS"
            )
    shapes = " ".join(str(list(a.shape)) for a in args if a is not None)
    without = f", without {', '.join(missing)}" if missing else ""
    return Case(f"{shapes}, {quant.name if quant else 'float32'}{without}", args, params)


def _operand(
    operand: Operand, sizes: dict[str, Any], quant: type[Quant] | None, random: np.random.Generator
) -> Any:
    shape: list[int] = []
    for letter in operand.letters:
        shape += sizes[letter] if letter == "..." else [sizes[letter]]
    if operand.whole:
        if not operand.below:
            return random.integers(0, 500, shape).astype(np.int32)
        below = sizes[operand.below]
        if len(shape) == 1 and below >= shape[0]:  # places to write to are not named twice
            return random.permutation(below)[: shape[0]].astype(np.int32)
        return random.integers(0, max(1, below), shape).astype(np.int32)
    values = random.standard_normal(shape, np.float32)
    if quant is not None and operand.kind in ("any", "rows"):
        return packed(quant.name, tuple(shape))
    return values


@functools.lru_cache(1024)
def packed(format_name: str, shape: tuple[int, ...]) -> Packed:
    """Some rows of a block format, made once: encoding is slow in some."""
    quant = quants.get(format_name)
    random = np.random.Generator(np.random.PCG64(math.prod(shape)))
    values = random.standard_normal(shape, np.float32)
    importance = np.ones(values.shape[-1], np.float32) if quant.importance == "required" else None
    return Packed(quant.quantize(values, importance), shape, quant)


# ---- attention: its operands must fit together


def _attention_cases(
    operation: Op, random: np.random.Generator, formats: Sequence[str] | None
) -> Iterator[Case]:
    """Sequences of different lengths on scattered pages, some of them shared; padding rows."""
    page = 8
    found = _formats(operation, ["F16", "BF16", "Q8_0", "Q4_0"] if formats is None else formats)
    for n, lengths, heads, groups, d in (
        (1, [5], 4, 4, 32),
        (1, [37], 8, 2, 64),
        (5, [17, 3, 24], 6, 2, 32),
        (9, [1, 40], 4, 1, 64),
        (3, [0, 9], 2, 2, 32),
    ):
        for quant in (None, *found):
            for extras in ({}, {"window": 7}, {"softcap": 2.0}, {"with": "all"}):
                parts = _attention(random, n, lengths, heads, groups, d, page, quant)
                full = extras.pop("with", None) == "all"
                if not full:
                    parts |= {"sinks": None, "slopes": None, "bias": None}
                names = [operand.name for operand in operation.signature.operands]
                params = {"page": page, "scale": d**-0.5, **extras}
                params = {k: v for k, v in params.items() if k in operation.params}
                says = f"{n} tokens, lengths {lengths}, {heads} heads on {groups} of {d}, "
                says += f"{quant.name if quant else 'float32'}, {extras}{', all' * full}"
                yield Case(says, [parts[name] for name in names], params)


def _attention(
    random: np.random.Generator,
    n: int,
    lengths: Sequence[int],
    heads: int,
    groups: int,
    d: int,
    page: int,
    quant: type[Quant] | None,
) -> dict[str, Any]:
    n_pages = max(1, -(-max(lengths) // page))
    total = 2 + len(lengths) * n_pages
    pages = random.permutation(total)[: len(lengths) * n_pages].reshape(len(lengths), n_pages)
    pages[:, 0] = pages[0, 0]  # a shared beginning
    n_cells = total * page
    cell_positions = random.integers(0, 40, n_cells)
    cell_positions[random.random(n_cells) < 0.1] = -1
    sequences = random.integers(-1, len(lengths), n)
    positions = random.integers(0, 40, n)
    c = n_pages * page
    keys = random.standard_normal((n_cells, groups, d), np.float32)
    values = random.standard_normal((n_cells, groups, d), np.float32)
    scores = random.standard_normal((n, heads, c), np.float32)
    shares = np.exp(scores)
    return {
        "q": random.standard_normal((n, heads, d), np.float32),
        "w": random.standard_normal((32, heads), np.float32),  # scores of distances
        "k": packed(quant.name, keys.shape) if quant else keys,
        "v": packed(quant.name, values.shape) if quant else values,
        "scores": scores,
        "shares": shares / shares.sum(-1, keepdims=True),
        "positions": positions.astype(np.int32),
        "reach": np.where(random.random(n) < 0.8, positions, 100).astype(np.int32),
        "sequences": sequences.astype(np.int32),
        "cell_positions": cell_positions.astype(np.int32),
        "pages": pages.astype(np.int32),
        "lengths": np.asarray(lengths, np.int32),
        "sinks": random.standard_normal(heads, np.float32),
        "slopes": random.random(heads, np.float32),
        "bias": random.standard_normal((n, heads, c), np.float32),
    }


def _expert_matmul_cases(
    operation: Op, random: np.random.Generator, formats: Sequence[str] | None
) -> Iterator[Case]:
    """One row for all experts of a token, or one for each; experts that nobody goes to."""
    for n, j, c in ((0, 1, 2), (1, 1, 2), (7, 1, 3), (7, 3, 3)):
        for quant in (None, *_formats(operation, formats)):
            w = random.standard_normal((6, 5, BLOCK), np.float32)
            x = random.standard_normal((n, j, BLOCK), np.float32)
            ids = random.integers(0, 5, (n, c)).astype(np.int32)
            says = f"n = {n}, j = {j}, c = {c}, {quant.name if quant else 'float32'}"
            yield Case(says, [x, packed(quant.name, w.shape) if quant else w, ids], {})


def _copy_cells_cases(
    operation: Op, random: np.random.Generator, formats: Sequence[str] | None
) -> Iterator[Case]:
    """From some cells to others, so that doing it twice changes nothing."""
    for m in (0, 1, 9):
        for quant in (None, *_formats(operation, formats)):
            cells = random.standard_normal((19, 2, BLOCK), np.float32)
            ids = random.permutation(19).astype(np.int32)
            says = f"{m} of 19 cells, {quant.name if quant else 'float32'}"
            args = [packed(quant.name, cells.shape) if quant else cells, ids[:m], ids[m : 2 * m]]
            yield Case(says, args, {})


_SPECIAL: dict[str, Callable[..., Iterator[Case]]] = {
    "attend": _attention_cases,
    "attention_scores": _attention_cases,
    "attention_softmax": _attention_cases,
    "attention_mix": _attention_cases,
    "bias_around": _attention_cases,
    "bias_behind": _attention_cases,
    "copy_cells": _copy_cells_cases,
    "expert_matmul": _expert_matmul_cases,
}


# ---- calling and comparing


def _operands(operation: Op, case: Case, backend: Backend) -> list[Any]:
    """The operands on a backend; of a fused operation, weights come in blocks."""
    made: list[Any] = []
    for operand, value in zip(operation.signature.operands, case.args, strict=True):
        if value is None:
            made.append(None)
            continue
        if isinstance(value, Packed):
            tensor = Tensor.packed(value.raw.copy(), value.shape, value.quant, backend)
        else:
            tensor = Tensor.of(_scattered(value), backend)
        is_block = isinstance(operation, Fused) and operand.kind == "any"
        made.append(Linear(tensor) if is_block else tensor)
    return made


def _scattered(array: NDArray[Any]) -> NDArray[Any]:
    """The same values in every second place of a larger array."""
    wide = np.zeros((*array.shape, 2), array.dtype)
    wide[..., 0] = array
    return wide[..., 0]


def _call(operation: Op, case: Case, backend: Backend) -> NDArray[Any]:
    return np.array(operation(*_operands(operation, case, backend), **case.params).numpy())


def _compare(said: str, got: NDArray[Any], want: NDArray[Any], tolerance: float) -> None:
    assert got.shape == want.shape, f"{said}: the shape is {got.shape}, and must be {want.shape}"
    if not want.size:
        return
    assert (np.isfinite(got) == np.isfinite(want)).all(), f"{said}: a value is not finite"
    finite = np.isfinite(want)
    difference = np.where(finite, got, 0).astype(np.float64) - np.where(finite, want, 0)
    size = np.sqrt(np.square(np.where(finite, want, 0).astype(np.float64)).mean())
    error = np.sqrt(np.square(difference).mean())
    worst = np.unravel_index(np.abs(difference).argmax(), want.shape)
    assert error <= tolerance * size, (
        f"{said}: differs from the definition by {error / size if size else np.inf:.1e} of its "
        f"size, and {tolerance:.0e} is allowed; the worst is {got[worst]!r} for {want[worst]!r} at "
        f"{[int(i) for i in worst]}"
    )
