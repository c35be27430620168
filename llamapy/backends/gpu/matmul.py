"""Products with matrices of weights: straight from the blocks, for few rows or for many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from . import dense
from .device import Call
from .memory import Buffer
from .source import Program, has_levels, readable

FEW = 8  # rows of x that are multiplied with each row of weights as it is read
COUNTS = (1, 2, 4, 8)  # of them, for which there are kernels
LANES = 128
ROWS = LANES // 32  # of weights, that a group multiplies with few rows
WIDE, TALL = 64, 32  # rows of weights and of x of a tile, which a group computes
ACTIVATION_BYTES = 48  # 32 of them: 32 bytes, a scale, two sums
NO_LIST = [None, 0]


@dataclass(frozen=True)
class Rows:
    """How rows of x and of the result lie: n of them for each of a batch, so many values apart.

    `shared` of a batch, such as the experts of a token, have the same rows of x.
    """

    n: int
    x: int
    out: int
    batch: int = 1
    x_batch: int = 0
    out_batch: int = 0
    shared: int = 1


def matmul(gpu: Any, out: Buffer, x: Buffer, w: Buffer) -> Iterator[Call]:
    m, k = w.shape
    n = x.size // max(1, k)
    if dense.is_for(gpu, n):
        return dense.product(gpu, out, x, w, n)
    return product(gpu, out, x, w, Rows(n, x=k, out=m))


def batched_matmul(gpu: Any, out: Buffer, x: Buffer, w: Buffer) -> Iterator[Call]:
    batch, n, k = x.shape
    m = w.shape[1]
    rows = Rows(n, x=k, out=m, batch=batch, x_batch=n * k, out_batch=n * m)
    return product(gpu, out, x, w, rows)


def head_matmul(gpu: Any, out: Buffer, x: Buffer, w: Buffer) -> Iterator[Call]:
    n, heads, k = x.shape
    m = w.shape[1]
    rows = Rows(n, x=heads * k, out=heads * m, batch=heads, x_batch=k, out_batch=m)
    return product(gpu, out, x, w, rows)


def product(gpu: Any, out: Buffer, x: Buffer, w: Buffer, rows: Rows) -> Iterator[Call]:
    """Each row of x with the matrix of its batch."""
    m = w.shape[-2]
    if not math.prod((rows.n, m, rows.batch)):
        return
    how = Multiply(gpu, x, w)
    yield from how.prepare()
    if rows.n <= FEW:
        yield how.few(out, rows, None)
    else:
        yield how.many(out, rows, -(-rows.n // TALL) * rows.batch, NO_LIST)


class Known(Call):
    """A launch of which it is known what it writes."""

    __slots__ = ()

    @classmethod
    def of(cls, call: Call) -> Self:
        return cls(call.kernel, call.groups, call.lanes, call.args)


class Rounding(Known):
    """Writes its second argument, rounded, into the first, which is scratch memory."""

    __slots__ = ()


class Product(Known):
    """Writes into its first argument, and leaves what was rounded as it is."""

    __slots__ = ()


def without_repeats(calls: Sequence[Call]) -> Iterator[Call]:
    """Calls that follow each other, without roundings of what is there already.

    Several matrices are multiplied with the same rows: those of queries, keys and values.
    """
    there: Call | None = None
    for call in calls:
        if isinstance(call, Product):
            if there is not None and call.args[0] == there.args[1]:
                there = None
        elif isinstance(call, Rounding):
            if there is not None and there.args == call.args:
                continue
            there = call
        else:
            there = None
        yield call


class Multiply:
    """Rows of x with weights of a format: rounded to 8 bits first, where both allow it.

    What x becomes lies at the beginning of the scratch memory, with `beside` bytes behind it.
    """

    def __init__(self, gpu: Any, x: Buffer, w: Buffer, beside: int = 0) -> None:
        self._gpu, self._x, self._w = gpu, x, w
        self.is_rounded = gpu.precision != "float32" and has_levels(w.format)
        self._blocks = x.size // 32 if self.is_rounded else 0
        self.n_bytes = self._blocks * ACTIVATION_BYTES  # of the scratch memory
        self.scratch = gpu.scratch(self.n_bytes + beside) if self.n_bytes + beside else None

    def prepare(self) -> Iterator[Call]:
        if self.is_rounded:
            args = [self.scratch, self._x, self._blocks]
            groups = -(-self._blocks // 2)
            yield Rounding.of(self._gpu.call("round_activations", "activations", groups, args))

    def few(self, out: Buffer, rows: Rows, ids: Buffer | None) -> Call:
        """With matrices in order, or with those that are numbered."""
        m = self._w.shape[-2]
        count = next(count for count in COUNTS if count >= rows.n)
        if self.is_rounded:
            kernel = f"matvec_rounded_{count}"
        else:
            kernel = "matvec_1" if count == 1 else f"matvec_{FEW}"
        program = Program("matvec", (self._w.format,), lanes=LANES)
        groups = -(-m // ROWS) * rows.batch
        operands = self._operands(out, rows, [ids])
        return Product.of(self._gpu.call(kernel, program, groups, operands))

    def many(self, out: Buffer, rows: Rows, tiles: int, lists: list[Any]) -> Call:
        """In tiles, one row of tiles after the other, or as listed."""
        kernel = "matmul_rounded" if self.is_rounded else "matmul_tiled"
        program = Program("matmul", (self._w.format,), lanes=LANES)
        groups = -(-self._w.shape[-2] // WIDE) * tiles
        operands = self._operands(out, rows, lists)
        return Product.of(self._gpu.call(kernel, program, groups, operands))

    def _operands(self, out: Buffer, rows: Rows, chosen: list[Any]) -> list[Any]:
        m, k = self._w.shape[-2:]
        x = [rows.x, rows.x_batch]
        if self.is_rounded:  # bytes
            x = [size // 32 * ACTIVATION_BYTES for size in x]
        source = self.scratch if self.is_rounded else self._x
        strides = [*x, rows.shared, rows.out, rows.out_batch]
        return [out, source, self._w, *chosen, rows.n, m, k, *strides]


def names(operation: str) -> list[str]:
    """The operation, with numbers and with each format."""
    return [operation, *(f"{operation}.{name}" for name in readable())]


KERNELS = {
    **dict.fromkeys(names("matmul"), matmul),
    **dict.fromkeys(names("batched_matmul"), batched_matmul),
    **dict.fromkeys(names("head_matmul"), head_matmul),
}
PROGRAMS = [
    Program("activations"),
    *dense.PROGRAMS,
    *(
        Program(kernels, (name,), lanes=LANES)
        for kernels in ("matvec", "matmul")
        for name in readable()
    ),
]
