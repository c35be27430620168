"""Operands to try an operation with: drawn from its signature, its parameters by their names.

What a signature does not say stands here, once for all operations that use the same name: which
sizes a letter may have, which numbers an operand, which values a parameter. A row may be for one
operation alone: `"group_norm.k"`. An operation whose operands must fit together, as those of
attention, has a function of its own among `MAKERS`.
"""

from __future__ import annotations

import functools
import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import quants
from ..errors import UnsupportedError
from ..ops import Op
from ..ops._signature import Operand
from ..quants.base import Quant

Random: TypeAlias = np.random.Generator
Array: TypeAlias = NDArray[Any]
Sizes: TypeAlias = Mapping[str, Any]

# rows: one, many, none, and those between the tiles of a kernel
ROWS = (1, 3, 16, 17, 61, 0, 1, 2, 33, 64)
# those with which every block format is tried
PACKED_ROWS = (1, 17)
# rows of blocks are of this size, which all formats divide
BLOCK = 256

# letter -> sizes, of which each case takes one; or what follows from the letters before it
LETTERS: dict[str, tuple[int, ...] | Callable[[Sizes], int]] = {
    "": (5, 16, 19, 33, 70),  # any other
    "d": (16, 37),
    "e": (16, 19, 40),
    "f": (6, 7),  # pairs, at most half of d
    "h": (1, 3, 8),
    "one": (1,),
    "r": (1, 3),  # sequences
    "causal_conv.h": lambda sizes: sizes["k"] - 1,
    "causal_conv.k": (2, 4),
    "choose_experts.e": (12, 24),
    "delta_rule.m": lambda sizes: sizes["d"] if sizes["n"] % 2 else 1,
    "group_norm.k": (12, 72),
    "ssm_scan.g": (1, 2, 4),
    "ssm_scan.h": (4,),
    "ssm_scan.m": (1, 16, 19),
    "top_candidates.v": (12, 300, 9001),
    "ssm_scan.q": lambda sizes: sizes["m"] if sizes["m"] > 1 else 24,
}

# parameter -> values; each case takes one
PARAMETERS: dict[str, tuple[Any, ...]] = {
    "by": (0.7, -2.0),
    "cap": (3.0, 0.5),
    "count": (1, 3),
    "deviations": (0.3, 1.0),
    "eps": (1e-5, 0.1),
    "groups": (1, 2, 4),
    "groups_used": (1, 2),
    "high": (0.8, 0.2),
    "highest": (1, 3),
    "length": (4, 100),
    "limit": (0.6, 2.0),
    "low": (-0.5, -0.1),
    "magnitude": (1.0, 1.3),
    "negative": (1.2, 0.3),
    "offset": (0.0, 1.0),
    "period": (100.0, 33.0),
    "positive": (0.9, 0.4),
    "size": (2, 3),
    "slope": (0.5, 1.5),
    "start": (0, 2),
    "strength": (0.4, 0.1),
    "times": (1, 2, 5),
    "value": (2.5, -1.0),
    "xielu.eps": (-1e-6, -0.5),
}


def _positions(random: Random, shape: Sequence[int], sizes: Sizes) -> Array:
    return random.integers(0, 500, shape)


def _with_equals(random: Random, shape: Sequence[int], sizes: Sizes) -> Array:
    """Some of them the same, as often as not."""
    values = random.random(shape)
    return np.round(values, 1) if random.random() < 0.5 else values


def _read_slots(random: Random, shape: Sequence[int], sizes: Sizes) -> Array:
    """The first slots; a sequence may have none yet."""
    return np.where(random.random(shape) < 0.3, -1, random.permutation(sizes["r"]))


def _write_slots(random: Random, shape: Sequence[int], sizes: Sizes) -> Array:
    """Slots that nobody reads, one for each token; a token's state may not be needed."""
    slots = sizes["r"] + random.permutation(sizes["s"] - sizes["r"])[: sizes["n"]]
    return np.where(random.random(shape) < 0.3, -1, slots)


def _between_0_and_1(random: Random, shape: Sequence[int], sizes: Sizes) -> Array:
    """What is left after a step, so that states neither grow nor vanish at once."""
    return random.uniform(0.3, 1.0, shape)


def _below_0(random: Random, shape: Sequence[int], sizes: Sizes) -> Array:
    """Rates of fading."""
    return -random.uniform(0.1, 1.1, shape)


def _of_length_1(random: Random, shape: Sequence[int], sizes: Sizes) -> Array:
    values = random.standard_normal(shape)
    return values / np.sqrt(np.square(values).sum(-1, keepdims=True))


# operand -> its numbers; whole numbers without `<` must have a row, others are normal numbers
NUMBERS: dict[str, Callable[[Random, Sequence[int], Sizes], Array]] = {
    "positions": _positions,
    "place.cell_positions": _positions,
    "place.new": _positions,
    "translate.table": _positions,
    "chunks_of_experts.ids": _positions,
    "delta_rule.beta": _between_0_and_1,
    "delta_rule.k": _of_length_1,
    "delta_rule.rate": _below_0,
    "fade": _between_0_and_1,
    "frequencies": lambda random, shape, sizes: random.random(shape),
    "lengths": lambda random, shape, sizes: random.integers(0, 9, shape),
    "nearest_choice.x": lambda random, shape, sizes: 3 * random.standard_normal(shape),
    "probabilities": _with_equals,
    "read": _read_slots,
    "sequences": lambda random, shape, sizes: random.integers(-1, sizes["r"], shape),
    "ssm_scan.a": _below_0,
    "top_candidates.logits": _with_equals,
    "wkv7.a": _of_length_1,
    "wkv7.b": _of_length_1,
    "write": _write_slots,
}


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


Maker: TypeAlias = Callable[[Op, Random, list[type[Quant]]], Iterator[Case]]
MAKERS: dict[str, Maker] = {}
M = TypeVar("M", bound=Maker)


def makes(*operations: str) -> Callable[[M], M]:
    """The function yields the cases of these operations."""

    def note(maker: M) -> M:
        MAKERS.update(dict.fromkeys(operations, maker))
        return maker

    return note


def cases(operation: Op, formats: Sequence[str] | None = None, seed: int = 0) -> Iterator[Case]:
    """Calls to try an operation with; the same seed gives the same calls.

    `formats` are those of packed operands, by default all. An operation of which something is not
    known is refused with what is to be added.
    """
    random = np.random.Generator(np.random.PCG64([seed, zlib.crc32(operation.name.encode())]))
    found = _formats(operation, formats)
    if operation.name in MAKERS:
        yield from MAKERS[operation.name](operation, random, found)
        return
    for n_rows, missing in itertools.product(ROWS, _missing(operation)):
        sizes = _sizes(operation, n_rows, random)
        for quant in (None, *(found if n_rows in PACKED_ROWS else ())):
            yield _case(operation, sizes, quant, missing, random)
    if all(operand.letters == ("...",) for operand in operation.signature.operands):
        yield _hard(operation, random)


# ---- from a signature


def _missing(operation: Op) -> list[tuple[str, ...]]:
    """Which optional operands to leave out: none of them, all of them, all but one."""
    names = [operand.name for operand in operation.signature.operands if operand.optional]
    chosen = {(), tuple(names)}
    if len(names) > 1:
        chosen |= {tuple(name for name in names if name != kept) for kept in names}
    return sorted(chosen)


def _formats(operation: Op, formats: Sequence[str] | None) -> list[type[Quant]]:
    """The block formats to try an operation that takes packed operands with."""
    if not {operand.kind for operand in operation.signature.operands} & {"any", "rows"}:
        return []
    found = [quants.get(name) for name in formats] if formats is not None else quants.formats()
    numbers = {"F64", "I8", "I16", "I32", "I64"}  # no weights, and no cells
    found = [quant for quant in found if quant.name not in numbers]
    if operation.signature.writes is not None:  # the operation encodes what it writes
        found = [quant for quant in found if quant.importance != "required"]
    return found


def _row(table: Mapping[str, Any], operation: Op, name: str) -> Any:
    """What a table has for a name: for this operation, or for all. None if there is nothing."""
    return table.get(f"{operation.name}.{name}", table.get(name))


def _sizes(operation: Op, n_rows: int, random: Random) -> dict[str, Any]:
    """A size for each letter. Those of packed rows divide into blocks; n is the number of rows."""
    operands = operation.signature.operands
    last = {o.letters[-1] for o in operands if o.kind in ("any", "rows")}
    sizes: dict[str, Any] = {"n": n_rows, "...": (n_rows, 2)}
    if not last and n_rows:
        sizes["..."] = [(n_rows,), (n_rows, 2), (n_rows, 3, 67)][int(random.integers(3))]
    if "..." in last:  # rows of any shape: the last of the sizes is that of the blocks
        sizes["..."] = (3, BLOCK)
    for letter in (letter for operand in operands for letter in operand.letters):
        choice = _row(LETTERS, operation, letter) or LETTERS[""]
        size = choice(sizes) if callable(choice) else int(random.choice(choice))
        sizes.setdefault(letter, BLOCK if letter in last else size)
    if any(operand.name == "write" for operand in operands):  # a slot for every state
        sizes["s"] = sizes["r"] + n_rows + 1
    if any(operand.name == "slots" for operand in operands):  # and a cell for every token
        sizes["s"] = max(sizes["s"], n_rows)
    return sizes


def _case(
    operation: Op,
    sizes: Sizes,
    quant: type[Quant] | None,
    missing: tuple[str, ...],
    random: Random,
) -> Case:
    args = [
        None if operand.name in missing else _operand(operation, operand, sizes, quant, random)
        for operand in operation.signature.operands
    ]
    shapes = " ".join(str(list(a.shape)) for a in args if a is not None)
    without = f", without {', '.join(missing)}" if missing else ""
    says = f"{shapes}, {quant.name if quant else 'float32'}{without}"
    return Case(says, args, parameters(operation, random))


def parameters(operation: Op, random: Random) -> dict[str, Any]:
    """A value for each parameter."""
    params = {}
    for name in operation.params:
        values = _row(PARAMETERS, operation, name)
        if values is None:
            raise UnsupportedError(
                f"check_backend does not know which values the parameter {name!r} of "
                f"{operation.name} may have: add a row for {name!r}, or for "
                f"'{operation.name}.{name}', to llamapy.testing.operands.PARAMETERS"
            )
        params[name] = values[int(random.integers(len(values)))]
    return params


def _operand(
    operation: Op, operand: Operand, sizes: Sizes, quant: type[Quant] | None, random: Random
) -> Any:
    shape: list[int] = []
    for letter in operand.letters:
        shape += sizes[letter] if letter == "..." else [sizes[letter]]
    draw = _row(NUMBERS, operation, operand.name)
    if draw is not None:
        return draw(random, shape, sizes).astype(np.int32 if operand.whole else np.float32)
    if operand.below:
        below = sizes[operand.below]
        if len(shape) == 1 and below >= shape[0]:  # places to write to are not named twice
            return random.permutation(below)[: shape[0]].astype(np.int32)
        return random.integers(0, max(1, below), shape).astype(np.int32)
    if operand.whole:
        raise UnsupportedError(
            f"check_backend does not know which whole numbers the operand {operand.name!r} of "
            f"{operation.name} may have: bound them in the signature, as `ids<v[n]`, or add a row "
            f"for '{operation.name}.{operand.name}' to llamapy.testing.operands.NUMBERS"
        )
    if quant is not None and operand.kind in ("any", "rows"):
        return packed(quant.name, tuple(shape))
    return random.standard_normal(shape, np.float32)


def _hard(operation: Op, random: Random) -> Case:
    """Values of all magnitudes, zeros, and equal ones; for a softmax also -inf, as of a mask."""
    shape = (7, 50)
    args = []
    for _ in operation.signature.operands:
        values = random.standard_normal(shape) * 10 ** random.uniform(-6, 1.3, shape)
        values[random.random(shape) < 0.2] = 0
        if operation.name == "softmax":
            values[random.random(shape) < 0.3] = -np.inf
            values[0] = -np.inf
        args.append(values.astype(np.float32))
    return Case(f"{list(shape)}, hard numbers", args, parameters(operation, random))


@functools.lru_cache(1024)
def packed(format_name: str, shape: tuple[int, ...]) -> Packed:
    """Some rows of a block format, made once: encoding is slow in some."""
    quant = quants.get(format_name)
    random = np.random.Generator(np.random.PCG64(math.prod(shape)))
    values = random.standard_normal(shape, np.float32)
    importance = np.ones(values.shape[-1], np.float32) if quant.importance == "required" else None
    return Packed(quant.quantize(values, importance), shape, quant)
