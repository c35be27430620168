"""Collecting an importance matrix: what goes into each weight matrix while a text is computed.

A computation is recorded once for each size of a batch, and walked launch by launch from then on;
before a product, its input is squared and added up. The inputs of fused products are in plain sight
as well, so that everything is computed as it always is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...cache import Batch, Cache
from ...errors import ImatrixError
from ...ops import OPERATIONS
from ...plan import Launch, Plan, record
from ...tensor import Tensor
from ..generating.chunks import chunked
from ..measuring.perplexity import Progress, report, surprises
from ..measuring.teacher_forcing import N_BATCH, Floats
from .imatrix import Entry, Imatrix

if TYPE_CHECKING:
    from ..model import Model

Sums = NDArray[np.float64]  # [experts, columns]
Counts = NDArray[np.int64]  # [experts]

OUTPUT = "output.weight"


def collect_imatrix(
    model: Model,
    text: Any,
    *,
    n_ctx: int = 512,
    n_chunks: int | None = None,
    first_chunk: int = 0,
    process_output: bool = False,
    special: bool = False,
    dataset: str = "",
    onto: Iterable[Imatrix] = (),
    n_batch: int = N_BATCH,
    progress: Progress | None = None,
) -> Imatrix:
    """The importance of all inputs of a model's matrices, on a text in chunks of `n_ctx` tokens.

    It is added to what `onto` holds, of the same model. The output's matrix counts only with
    `process_output`; `special` reads special tokens that the text spells out.
    """
    chunks = chunked(
        model, text, n_ctx, n_chunks=n_chunks, first_chunk=first_chunk, special=special
    )
    collector = Collector(model, process_output=process_output)
    collected = surprises(model, chunks, n_batch=n_batch, run=collector.run)
    for done, _ in enumerate(collected, 1):
        report(progress, done, len(chunks.chunks))
    return combined([*onto, collector.imatrix(n_ctx, dataset)], n_ctx)


class Collector:
    """Sums of squared inputs by weight. `run` computes a batch as the model's own does."""

    def __init__(self, model: Model, *, process_output: bool = False) -> None:
        self.model, self.process_output = model, process_output
        self._sums: dict[str, Sums] = {}
        self._counts: dict[str, Counts] = {}

    def run(self, cache: Cache, batch: Batch) -> Floats:
        """The logits of a batch's outputs, on a cache that pads nothing."""
        wanted = batch.outputs
        if self.process_output:
            batch = dataclasses.replace(batch, outputs=range(len(batch.tokens)))
        step = cache.begin(batch)
        key = (*self.model._plan_key(), "walked")
        plan = step.plans.get(key)
        if plan is None:
            with self.model.looking():
                plan = record(self.model.decoder, step, arena=cache.arena)
            step.plans[key] = plan
        self.walk(plan)
        if not len(wanted):
            return np.zeros((0, self.model.decoder.n_vocab), np.float32)
        logits: Floats = plan.output.unleased().numpy()
        return logits[wanted] if self.process_output else logits.copy()

    def walk(self, plan: Plan) -> None:
        """Run a plan, and note the inputs of its products on the way; all of them, or none."""
        found: list[tuple[str, Sums, Counts]] = []
        for launch in plan.launches:
            for name, weight, letters in self._weights(launch):
                if launch.op == "expert_matmul":
                    found.append((name, *_of_experts(launch.args, weight.shape[0])))
                else:
                    found.append((name, *_of_rows(launch, weight, letters)))
            launch.run()
        for name, sums, _ in found:
            if not np.isfinite(sums).all():
                raise ImatrixError(
                    f"the inputs of {name} are not all finite: the model is damaged, or made for "
                    f"another precision; try precision='float32'"
                )
        for name, sums, counts in found:
            self._sums[name] = self._sums[name] + sums if name in self._sums else sums
            self._counts[name] = self._counts[name] + counts if name in self._counts else counts

    def imatrix(self, chunk_size: int, dataset: str = "") -> Imatrix:
        """What was collected so far."""
        entries = {
            name: Entry(sums.astype(np.float32), self._counts[name].copy())
            for name, sums in self._sums.items()
        }
        datasets = [dataset] if dataset else []
        chunks = _chunks(entries, chunk_size)
        return Imatrix(entries, datasets=datasets, chunks=chunks, chunk_size=chunk_size)

    # ---- products

    def _weights(self, launch: Launch) -> Iterator[tuple[str, Tensor, tuple[str, ...]]]:
        """The matrices that a launch multiplies with, and that count."""
        operation = OPERATIONS.get(launch.op)
        if operation is None:
            return
        for operand, arg in zip(operation.signature.operands, launch.args, strict=True):
            is_matrix = operand.kind == "any" or (launch.op, operand.name) == ("expert_matmul", "w")
            if is_matrix and arg is not None and self._counts_at_all(arg.name):
                yield arg.name, arg, operand.letters

    def _counts_at_all(self, name: str) -> bool:
        layers = name.startswith(self.model.decoder.prefix) and name.endswith(".weight")
        return layers or (self.process_output and name == OUTPUT)


def _of_rows(launch: Launch, weight: Tensor, letters: Sequence[str]) -> tuple[Sums, Counts]:
    """Sums over the rows of tokens; a weight of several matrices has sums for each, in a row."""
    x = launch.args[0]
    assert x is not None
    values, matrices = x.numpy(), 1
    if weight.ndim > 2:  # one matrix for each head: those of x stay apart
        of_x = OPERATIONS[launch.op].signature.operands[0].letters
        values, matrices = np.moveaxis(values, of_x.index(letters[0]), 0), weight.shape[0]
    values = values.reshape(matrices, -1, weight.shape[-1])
    sums = np.square(values).sum(1, dtype=np.float64)
    return sums.reshape(1, -1), np.array([values.shape[1]])


def _of_experts(args: Sequence[Tensor | None], n_experts: int) -> tuple[Sums, Counts]:
    """Sums over the rows that each expert got."""
    x, _, chosen = args
    assert x is not None
    assert chosen is not None
    ids = chosen.numpy()
    squares = np.square(x.numpy())
    squares = np.broadcast_to(squares, (*ids.shape, squares.shape[-1]))
    sums = np.zeros((n_experts, squares.shape[-1]))
    for expert in np.unique(ids[ids >= 0]):
        sums[expert] = squares[ids == expert].sum(0, dtype=np.float64)
    return sums, np.bincount(ids[ids >= 0], minlength=n_experts)


# ---- putting several together


def combined(matrices: Sequence[Imatrix], chunk_size: int) -> Imatrix:
    """One importance matrix of several of the same model, as if their texts were one."""
    entries: dict[str, Entry] = {}
    for matrix in matrices:
        for name, entry in matrix.entries.items():
            if not matrix.chunk_size:  # the older kind of file counts chunks
                scale = np.float32(chunk_size)
                entry = Entry(entry.sums * scale, entry.counts * chunk_size)
            entries[name] = _added(name, entries[name], entry) if name in entries else entry
    datasets = [dataset for matrix in matrices for dataset in matrix.datasets]
    chunks = _chunks(entries, chunk_size)
    return Imatrix(entries, datasets=datasets, chunks=chunks, chunk_size=chunk_size)


def _added(name: str, first: Entry, second: Entry) -> Entry:
    n = max(first.counts.size, second.counts.size)
    if first.sums.size != second.sums.size or {first.counts.size, second.counts.size} - {1, n}:
        raise ImatrixError(
            f"{name} has {first.counts.size} x {first.sums.size // first.counts.size} columns in "
            f"one importance matrix and {second.counts.size} x "
            f"{second.sums.size // second.counts.size} in another: they are of different models"
        )
    sums = first.sums.reshape(n, -1) + second.sums.reshape(n, -1)
    return Entry(sums, np.broadcast_to(first.counts, n) + np.broadcast_to(second.counts, n))


def _chunks(entries: dict[str, Entry], chunk_size: int) -> int:
    """How many chunks were counted, going by the most that one matrix saw."""
    return max((int(entry.counts.max()) for entry in entries.values()), default=0) // chunk_size
