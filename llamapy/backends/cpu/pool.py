# mypy: check-untyped-defs=False
"""From rows of a sequence's tokens to one row for the sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .elementwise import PIECE
from .kernel import kernel
from .simd import load_f32, load_i32, most, store_f32
from .tape import Tape


@kernel("mean_pool")
def mean_pool(out, x, sequences, lengths, tokens, count, columns, first, last, thread):
    """The mean of the rows of each sequence, over columns."""
    for sequence in range(count):
        for column in range(first, last):
            store_f32(out + 4 * (columns * sequence + column), 0.0)
    for token in range(tokens):
        sequence = load_i32(sequences + 4 * token)
        if sequence >= 0 and sequence < count:
            for column in range(first, last):
                at = out + 4 * (columns * sequence + column)
                store_f32(at, load_f32(at) + load_f32(x + 4 * (columns * token + column)))
    for sequence in range(count):
        by = np.float32(most(1, load_i32(lengths + 4 * sequence)))
        for column in range(first, last):
            at = out + 4 * (columns * sequence + column)
            store_f32(at, load_f32(at) / by)


def put_mean_pool(tape: Tape, out: Any, x: Any, sequences: Any, lengths: Any) -> None:
    (tokens, columns), count = x.shape, lengths.size
    grain = max(16, PIECE // max(1, tokens))
    tape.add(mean_pool, columns, grain, out, x, sequences, lengths, tokens, count, columns)


KERNELS: dict[str, Callable[..., None]] = {"mean_pool": put_mean_pool}
