"""Attention without memory: every sequence of a batch is whole, and its tokens see one another.

Encoders and diffusion models compute this way. Nothing is kept from one batch to the next; keys
and values are those of the batch itself, in float32.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import ops
from ..backends import Backend
from ..plan import Arena
from ..quants.base import Quant
from ..tensor import Tensor
from . import STEPS_KEPT, Cache
from .step import Batch, Reach, Step, fill, full, padded

Window = int | None  # how many positions a token sees to each side; None is all of them


class Whole:
    """The state of a layer that remembers nothing.

    With a window, a token sees those that are up to so many positions away, on both sides.
    """

    def __init__(self, window: Window = None) -> None:
        self.window = window

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        step: Any,
        *,
        scale: float,
        softcap: float | None = None,
        sinks: Tensor | None = None,
        slopes: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Let every query attend to the batch's own keys and values of its sequence."""
        return ops.attend(
            q,
            k,
            v,
            step.positions,
            step.reaches[self.window],
            step.sequences,
            step.positions,
            step.rows,
            step.lengths,
            sinks,
            slopes,
            bias,
            page=1,
            scale=scale,
            window=None if self.window is None else self.window + 1,
            softcap=softcap,
        )  # [n, h, value_dim]


@dataclass(kw_only=True)
class WholeStep(Step):
    """A step whose cells are the rows of its own batch: pages of one cell."""

    rows: Tensor  # [sequences, longest], the batch's rows of each sequence
    lengths: Tensor  # [sequences]
    reaches: dict[Window, Tensor] = field(default_factory=dict)  # [n] each


class WholeCache(Cache):
    """What stands where others have a cache: it makes steps, and forgets.

    So it takes any number of sequences, no format for what it does not keep, and never goes back.
    """

    def __init__(
        self,
        states: Sequence[Whole],
        backend: Backend,
        *,
        n_ctx: int,
        places: Sequence[Backend] = (),
        n_sequences: int = 1,
        n_batch: int = 512,
        kv_type: str | type[Quant] = "f32",
        reach: Reach = full,
        move: object = None,
        pad: Callable[[int], int] = padded,
        rollback: int = 0,
        model_hash: object = None,
    ) -> None:
        self.states: Any = list(states)
        self.backend, self.reach, self._pad = backend, reach, pad
        self.move = self.model_hash = None
        self.attending, self.recurring = [], []
        self.n_ctx, self.n_batch = n_ctx, n_batch
        self.arena = Arena()
        self.tables = {}
        self._steps: OrderedDict[object, Step] = OrderedDict()

    @property
    def n_bytes(self) -> int:
        return 0

    @property
    def sequences(self) -> list[int]:
        return []

    def end(self, sequence: int = 0) -> int:
        """A sequence always begins anew."""
        return 0

    def begin(self, batch: Batch) -> Step:
        """Fill the inputs of a forward pass of whole sequences."""
        sequences = sorted(set(batch.sequences))
        members = {s: np.flatnonzero(np.asarray(batch.sequences) == s) for s in sequences}
        positions = self._positions(batch, members)
        longest = max(len(rows) for rows in members.values())
        step = self._whole_step(len(batch.tokens), len(batch.outputs), len(sequences), longest)
        fill(step.tokens, batch.tokens)
        fill(step.positions, positions)
        fill(step.reach, self.reach(positions), padding=-1)
        for window, reach in step.reaches.items():
            if window is not None:
                fill(reach, positions + window, padding=-1)
        fill(step.sequences, np.searchsorted(sequences, batch.sequences), padding=-1)
        fill(step.outputs, batch.outputs)
        rows = np.zeros((len(sequences), step.rows.shape[1]), np.int32)
        for row, of_sequence in zip(rows, members.values(), strict=True):
            row[: len(of_sequence)] = of_sequence
        fill(step.rows, rows)
        fill(step.lengths, [len(of_sequence) for of_sequence in members.values()])
        return step

    def _whole_step(self, *sizes: int) -> WholeStep:
        """The step of these sizes, new or met before."""
        key = tuple(self._pad(size) for size in sizes)
        n_tokens, n_outputs, n_rows, longest = key

        def ints(*shape: int) -> Tensor:
            return Tensor.of(np.zeros(shape, np.int32), self.backend)

        step = self._steps.pop(key, None)
        if step is None:
            reach = ints(n_tokens)
            step = WholeStep(
                tokens=ints(n_tokens),
                positions=ints(n_tokens),
                reach=reach,
                sequences=ints(n_tokens),
                outputs=ints(n_outputs),
                tables={},
                states=self.states,
                rows=ints(n_rows, longest),
                lengths=ints(n_rows),
                reaches={s.window: ints(n_tokens) for s in self.states} | {None: reach},
            )
        self._steps[key] = step  # the latest stands last
        if len(self._steps) > STEPS_KEPT:
            self._steps.popitem(last=False)
        assert isinstance(step, WholeStep)
        return step
