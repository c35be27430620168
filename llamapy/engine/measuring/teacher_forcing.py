"""Given texts, what a model says of each next token: computed in pieces, several texts together.

The logits of a long text are never there at once: each piece is given, used and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...cache import Batch, Cache, padded
from ...cache.whole import WholeCache
from ...errors import ShapeError, UnsupportedError
from ...models import Encoder, EncoderDecoder

if TYPE_CHECKING:
    from ..model import Model

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
# computes the logits of a batch's outputs
Run: TypeAlias = Callable[[Cache, Batch], Floats]

N_BATCH = 512  # tokens that are computed together
MOST_SEQUENCES = 64  # computed together, however short
LOGIT_BYTES = 1 << 27  # that are there at a time
ROWS = 32  # whose exponentials are there at a time


@dataclass(frozen=True)
class Piece:
    """Logits [n, V] of a text's tokens from `start` on: each is of the token after it."""

    text: int
    start: int
    logits: Floats


def teacher_forced(
    model: Model,
    texts: Sequence[Sequence[int]],
    starts: Sequence[int] | None = None,
    *,
    n_batch: int = N_BATCH,
    run: Run | None = None,
) -> Iterator[Piece]:
    """The logits after each token of each text but its last, from the token `starts[i]` on.

    Longer texts come first, those of one length in their order; a text's pieces come in order.
    `run` computes batches instead of the model's own, and gets them without padding.
    """
    check_forcing(model)
    for tokens in texts:
        model.check_tokens(tokens)
    lengths = [len(tokens) for tokens in texts]
    if max(lengths, default=0) > model.n_ctx:
        raise UnsupportedError(
            f"a text has {max(lengths)} tokens, and this model is loaded with a context of "
            f"{model.n_ctx}: shorten it, or load the model with a larger n_ctx"
        )
    firsts = [0] * len(texts) if starts is None else list(starts)
    most_rows = max(1, LOGIT_BYTES // (4 * model.decoder.n_vocab))
    cache, fits = None, (0, 0)
    for group in _groups(lengths, n_batch):
        needs = lengths[group[0]], len(group)
        if cache is None or needs[0] > fits[0] or needs[1] > fits[1]:
            pad = padded if run is None else int
            cache = model.cache(needs[0], n_sequences=needs[1], n_batch=n_batch, pad=pad)
            fits = needs
        for piece in _pieces(group, lengths, firsts, n_batch, most_rows):
            parts = [
                Batch(
                    texts[i][start:stop],
                    [group.index(i)] * (stop - start),
                    range(max(0, firsts[i] - start), min(stop, lengths[i] - 1) - start),
                )
                for i, start, stop in piece
            ]
            logits, done = (run or model.run)(cache, Batch.joined(parts)), 0
            for (i, start, _), part in zip(piece, parts, strict=True):
                if n := len(part.outputs):
                    yield Piece(i, start + part.outputs[0], logits[done : done + n])
                done += n
        for sequence in range(len(group)):
            cache.remove(sequence)


def check_forcing(model: Model) -> None:
    """Refuse models that do not say, token by token, what comes next."""
    decoder = model.decoder
    if isinstance(decoder, Encoder | EncoderDecoder) or issubclass(decoder.Memory, WholeCache):
        raise UnsupportedError(
            f"{type(decoder).__name__} does not predict each token from those before it, so there "
            f"is nothing to score: forward and embed give what it computes"
        )


def _groups(lengths: Sequence[int], n_batch: int) -> Iterator[list[int]]:
    """Texts that are computed together, of similar lengths; a longer one is alone."""
    group: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        full = group and (len(group) + 1) * lengths[group[0]] > n_batch
        if full or len(group) == MOST_SEQUENCES:
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def _pieces(
    group: Sequence[int],
    lengths: Sequence[int],
    firsts: Sequence[int],
    n_batch: int,
    most_rows: int,
) -> Iterator[list[tuple[int, int, int]]]:
    """Ranges (text, start, stop) that fill a step: so many tokens, so many rows of logits."""
    piece: list[tuple[int, int, int]] = []
    tokens, rows = n_batch, most_rows
    for i in group:
        at = 0
        while at < lengths[i]:
            before = max(0, firsts[i] - at)  # tokens of which no logits are wanted
            stop = min(lengths[i], at + tokens, at + before + rows)
            if stop > at:
                piece.append((i, at, stop))
                tokens -= stop - at
                rows -= max(0, stop - at - before)
            at = stop
            if not tokens or not rows:
                yield piece
                piece, tokens, rows = [], n_batch, most_rows
    if piece:
        yield piece


# ---- log-probabilities


def log_sums(logits: Floats) -> Doubles:
    """The logarithm of the sum of the exponentials of each row; the sum is of float64."""
    found = np.empty(len(logits))
    for at in range(0, len(logits), ROWS):
        rows = logits[at : at + ROWS]
        highest = rows.max(1)
        sums = np.exp(rows - highest[:, None]).sum(1, dtype=np.float64)
        found[at : at + ROWS] = highest + np.log(sums)
    return found


def target_logprobs(logits: Floats, targets: Sequence[int]) -> Doubles:
    """The log-probability of one token of each row."""
    if len(targets) != len(logits):
        raise ShapeError(f"{len(logits)} rows of logits have {len(targets)} targets: pass as many")
    rows = np.arange(len(logits))
    chosen: Doubles = logits[rows, np.asarray(targets, np.int64)].astype(np.float64)
    return chosen - log_sums(logits)


__all__ = ["Piece", "log_sums", "target_logprobs", "teacher_forced"]
