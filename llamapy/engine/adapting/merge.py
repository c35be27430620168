"""Merging adapters into a model: GGUF files in, one out that needs no adapter any more.

Each matrix is decoded a few rows at a time, gets what adapters add to it, computed in float32, and
is encoded again. What no adapter changes is copied byte by byte.
"""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ... import gguf, quants
from ...errors import OutputError, QuantizationError, UnsupportedError
from ...gguf import GGUF, TensorInfo, ValueType, typed
from ...jit import kernel
from ...quants import Quant
from ...quants.base import Bytes, Floats
from ..quantizing.encoding import Rows, check_possible, encode
from ..quantizing.file_types import GUESSED, guess
from .lora import Lora, Pair

Source: TypeAlias = str | os.PathLike[str] | Lora
Progress: TypeAlias = Callable[[int, int], object]
SPLIT_KEYS = ("split.no", "split.count", "split.tensors.count")


@dataclass(frozen=True)
class Merged:
    """What was merged: the tensors that changed with their formats, and how many did not."""

    path: Path
    changed: dict[str, str]
    n_kept: int
    seconds: float

    def __str__(self) -> str:
        formats = ", ".join(sorted(set(self.changed.values()))) or "none"
        return (
            f"{self.path.name}: {len(self.changed)} tensors changed ({formats}), {self.n_kept} "
            f"copied, in {self.seconds:.1f} s"
        )


def merge(
    base: str | os.PathLike[str],
    adapters: Sequence[tuple[Source, float]],
    dst: str | os.PathLike[str],
    *,
    outtype: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Merged:
    """Write `dst`, the model `base` with these adapters, each with its scale, added to it.

    A tensor that changes keeps its block format, or gets `outtype`. `progress(done, total)` counts
    bytes, and stops the work by returning False. Whatever goes wrong, `dst` is whole or untouched.
    """
    started = time.perf_counter()
    if not adapters:
        raise UnsupportedError("there is nothing to merge: name at least one adapter")
    with ExitStack() as stack:
        file = stack.enter_context(GGUF.open(base))
        opened = [
            (one if isinstance(one, Lora) else stack.enter_context(Lora.open(one)), float(scale))
            for one, scale in adapters
        ]
        _check_target(Path(dst), [file, *(lora.file for lora, _ in opened)])
        sums = _sums(file, opened)
        target = quants.get(outtype) if outtype else None
        formats = {name: target or file[name].quant for name in sums}
        for name, quant in formats.items():
            check_possible(file[name], quant, None, allow_requantize=True)
        metadata = file.metadata
        split = [key for key in SPLIT_KEYS if key in metadata]
        metadata = metadata.updated(remove=split)
        if target is not None:
            after = [formats.get(name, file[name].quant).name for name in file]
            metadata = metadata.updated(
                {"general.file_type": typed(ValueType.UINT32, guess(after) & ~GUESSED)}
            )
        tensors = ((name, _tensor(file[name], sums, formats, threads)) for name in file)
        (path,) = gguf.write(dst, metadata, tensors, byteorder=file.byteorder, progress=progress)
        changed = {name: quant.name for name, quant in formats.items()}
        return Merged(path, changed, len(file) - len(changed), time.perf_counter() - started)


class _Product:
    """What one adapter adds to one tensor: rows of left @ right, times a factor."""

    def __init__(self, pair: Pair, factor: float) -> None:
        self.pair, self.factor = pair, np.float32(factor)

    def load(self) -> None:
        """Read the two matrices; they are small."""
        a, b = self.pair.a.numpy(), self.pair.b.numpy()
        for matrix, tensor in ((a, self.pair.a), (b, self.pair.b)):
            if not np.isfinite(matrix).all():
                raise QuantizationError(
                    f"{tensor.name} has values that are not finite: the adapter is damaged"
                )
        left, right = (a, b.T) if self.pair.by_row else (b, a)
        left = np.ascontiguousarray(left, np.float32)
        self.left: Floats = left.reshape(-1, left.shape[-1])
        right = np.ascontiguousarray(right, np.float32)
        self.right: Floats = right.reshape(-1, *right.shape[-2:])

    def add_to(self, rows: Floats, first: int) -> None:
        """Add it to the rows from `first` on, one expert after the other."""
        last, height = first + len(rows), len(self.left) // len(self.right)
        for expert in range(first // height, -(-last // height)):
            start, stop = max(first, expert * height), min(last, (expert + 1) * height)
            part = rows[start - first : stop - first]
            add_product(part, self.left[start:stop], self.right[expert], self.factor)


@kernel
def add_product(rows, left, right, factor):
    """rows + factor * left @ right, added in one order: the same file on every machine."""
    product = np.empty(rows.shape[1], np.float32)
    for i in range(len(rows)):
        product[:] = 0
        for j in range(left.shape[1]):
            by = left[i, j]
            for k in range(rows.shape[1]):
                product[k] += by * right[j, k]
        for k in range(rows.shape[1]):
            rows[i, k] += product[k] * factor


class _MergedRows(Rows):
    """The rows of a tensor with what adapters add."""

    def __init__(self, tensor: TensorInfo, products: Sequence[_Product]) -> None:
        super().__init__(tensor)
        self.products = products
        for product in products:
            product.load()

    def floats(self, raw: Bytes, first: int) -> Floats:
        rows = super().floats(raw, first).copy()
        for product in self.products:
            product.add_to(rows, first)
        return rows


def _tensor(
    tensor: TensorInfo,
    sums: dict[str, list[_Product]],
    formats: dict[str, type[Quant]],
    threads: int | None,
) -> Any:
    """A tensor as it is to be written."""
    if tensor.name not in sums:
        return tensor
    target = formats[tensor.name]

    def chunks() -> Iterator[NDArray[np.uint8]]:
        # the matrices are read when their turn comes, and forgotten after it
        yield from encode(_MergedRows(tensor, sums.pop(tensor.name)), target, threads=threads)

    return gguf.Stream(target, tensor.shape, chunks)


def _sums(file: GGUF, adapters: Sequence[tuple[Lora, float]]) -> dict[str, list[_Product]]:
    """What is added to which tensors, in the order of the adapters."""
    found: dict[str, list[_Product]] = {}
    for lora, scale in adapters:
        lora.check_use(file.metadata.get("general.architecture"))
        if not np.isfinite(scale):
            raise UnsupportedError(f"the scale of an adapter is {scale}: pass a finite number")
        for name, pair in lora.items():
            if name not in file:
                near = difflib.get_close_matches(name, file, 3)
                has = f"it has {', '.join(near)}" if near else "nor any with a similar name"
                raise UnsupportedError(
                    f"the adapter changes {name}, and the model does not have it ({has}): use the "
                    f"adapter with the model that it was trained with"
                )
            pair.check(file[name].shape)
            if scale:
                found.setdefault(name, []).append(_Product(pair, pair.factor(lora.alpha, scale)))
    return found


def _check_target(dst: Path, files: Sequence[GGUF]) -> None:
    """Refuse to write over what is being read."""
    for file in files:
        if any(dst.exists() and dst.samefile(path) for path in file.paths):
            raise OutputError(f"{dst} is a file that is read: choose another name for the result")
