"""Converting a tensor of a file from one block format to another, a few rows at a time.

Each thread reads some rows, decodes them and encodes them anew, so that neither a whole tensor nor
its float32 copy is ever in memory. The file is read and not mapped: pages that were looked at once
would stay in memory, and for a model they are many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import threads as pool
from ...errors import QuantizationError, ShapeError, UnsupportedError
from ...gguf import TensorInfo
from ...quants import Quant
from ...quants.base import Bytes, Floats

# The first is a thread's work at a time, whose float32 values stay in its cache; the second is
# what is written at once.
VALUES_A_PIECE = 1 << 17
VALUES_A_CHUNK = 1 << 23

WHOLE_NUMBERS = ("I8", "I16", "I32", "I64")


class Rows:
    """The rows of a tensor, read from its file when asked for."""

    def __init__(self, tensor: TensorInfo) -> None:
        self.tensor, self.quant, self.count = tensor, tensor.quant, tensor.n_rows
        self.n_cols = tensor.shape[-1] if tensor.shape else 1

    def raw(self, first: int, last: int) -> Bytes:
        """The bytes of these rows, [last - first, row_bytes], little-endian."""
        return self.tensor.encoded_rows(first, last)

    def floats(self, raw: Bytes, first: int) -> Floats:
        """What the bytes of the rows from `first` on mean; infinities and NaN are refused."""
        rows = self.quant.dequantize(raw, (len(raw), self.n_cols), threads=1)
        if not np.isfinite(rows).all():
            row, col = np.argwhere(~np.isfinite(rows))[0]
            raise QuantizationError(
                f"{self.tensor.name} holds {rows[row, col]} at {self._index(first + row, col)}: "
                f"the model is damaged or overflowed when it was made; get it again, or convert "
                f"it with more range (BF16 or F32)"
            )
        return rows

    def _index(self, row: int, col: int) -> tuple[int, ...]:
        shape = self.tensor.shape or (1,)
        return tuple(int(i) for i in np.unravel_index(row * self.n_cols + int(col), shape))


def convert(
    tensor: TensorInfo,
    target: type[Quant],
    importance: Floats | None = None,
    *,
    threads: int | None = None,
    done: Callable[[int], None] = lambda n_values: None,
) -> Iterator[NDArray[np.uint8]]:
    """The tensor's bytes in another format, in chunks; in its own they are checked and copied.

    `importance` is [n_experts, n_cols], and each expert has equally many rows. `done` is told how
    many values each chunk had.
    """
    rows = Rows(tensor)
    work = _copying(rows) if target is tensor.quant else _encoding(rows, target, importance)
    return _in_chunks(rows, target, work, threads, done)


def encode(
    rows: Rows, target: type[Quant], *, threads: int | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Rows in a format, in chunks; encoded even if they come from a tensor of the same format."""
    return _in_chunks(rows, target, _encoding(rows, target, None), threads, lambda n_values: None)


def _in_chunks(
    rows: Rows,
    target: type[Quant],
    work: Callable[[int, int], Bytes],
    threads: int | None,
    done: Callable[[int], None],
) -> Iterator[NDArray[np.uint8]]:
    if not rows.tensor.n_values:
        return
    row_bytes = target.row_bytes(rows.n_cols)
    step = max(1, VALUES_A_CHUNK // rows.n_cols)
    for start in range(0, rows.count, step):
        stop = min(start + step, rows.count)
        out = np.empty((stop - start, row_bytes), np.uint8)

        def piece(first: int, last: int, start: int = start, out: Bytes = out) -> None:
            out[first:last] = work(start + first, start + last)

        grain = max(1, VALUES_A_PIECE // rows.n_cols)
        pool.run(piece, stop - start, grain=grain, threads=threads)
        yield out
        done((stop - start) * rows.n_cols)


def _copying(rows: Rows) -> Callable[[int, int], Bytes]:
    checked = rows.quant.name not in WHOLE_NUMBERS

    def work(first: int, last: int) -> Bytes:
        raw = rows.raw(first, last)
        if checked:
            rows.floats(raw, first)
        return raw

    return work


def _encoding(
    rows: Rows, target: type[Quant], importance: Floats | None
) -> Callable[[int, int], Bytes]:
    rows_an_expert = rows.count // (1 if importance is None else len(importance))
    name = rows.tensor.name

    def work(first: int, last: int) -> Bytes:
        values = rows.floats(rows.raw(first, last), first)
        out = np.empty((last - first, target.row_bytes(rows.n_cols)), np.uint8)
        at = first
        while at < last:  # up to the end of an expert at a time
            expert = at // rows_an_expert
            end = min(last, (expert + 1) * rows_an_expert)
            weights: Any = None if importance is None else importance[expert]
            try:
                encoded = target.quantize(values[at - first : end - first], weights, threads=1)
            except QuantizationError as error:
                raise QuantizationError(f"{name}, rows {at} to {end - 1}: {error}") from error
            out[at - first : end - first] = encoded
            at = end
        return out

    return work


def check_possible(
    tensor: TensorInfo, target: type[Quant], importance: Floats | None, *, allow_requantize: bool
) -> None:
    """Refuse, before any work, what could not be converted."""
    name, source = tensor.name, tensor.quant
    if source.block > 1 and not allow_requantize:
        raise UnsupportedError(
            f"{name} is {source.name} already, and encoding it once more as {target.name} would "
            f"lose more than either alone: start from F16, BF16 or F32, or allow requantizing"
        )
    if source.name in (*WHOLE_NUMBERS, "F64"):
        raise UnsupportedError(
            f"{name} is {source.name}, which is not converted to {target.name}: leave the tensor "
            f"as it is"
        )
    if target.encode is Quant.encode and target.block > 1:
        raise UnsupportedError(
            f"{name} was to become {target.name}, which can be read but not written: choose another"
        )
    n_cols = tensor.shape[-1]
    if n_cols % target.block:
        raise ShapeError(
            f"{name} has rows of {n_cols} weights, which blocks of {target.block} do not divide: "
            f"choose another format than {target.name} for it"
        )
    if target.importance == "required" and importance is None:
        raise QuantizationError(
            f"{name} cannot become {target.name} without importance weights: give an importance "
            f"matrix that has this tensor, or choose another format for it"
        )
