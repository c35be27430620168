"""Log-probabilities of a model on disk, to measure others by, as llama-perplexity writes them.

    "_logits_"  n_ctx:i32  n_vocab:i32  n_chunks:i32  tokens:i32[n_chunks * n_ctx]
    for each token that counts:  scale:f32  least:f32  steps:u16[n_vocab, padded to an even count]

The log-probability of a token is `least + scale * step`, and nothing is more than 16 below the
likeliest: what lies lower is stored as that, and does not count.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError, ShapeError
from ...files import Output, replacing
from ..generating.chunks import Chunks
from .perplexity import chunk_logits
from .teacher_forcing import N_BATCH, Doubles, Floats, log_sums, target_logprobs

if TYPE_CHECKING:
    from ..model import Model

MAGIC = b"_logits_"
DEPTH = 16.0  # below the likeliest token's, and log-probabilities down to which count
HEADER = np.dtype([("magic", "S8"), ("n_ctx", "<i4"), ("n_vocab", "<i4"), ("n_chunks", "<i4")])


def row_layout(n_vocab: int) -> np.dtype[Any]:
    """One token's distribution."""
    steps = 2 * ((n_vocab + 1) // 2)
    return np.dtype([("scale", "<f4"), ("least", "<f4"), ("steps", "<u2", steps)])


def encode_rows(logits: Floats) -> NDArray[Any]:
    """Logits as they are stored."""
    highest = logits.max(1)
    lowest = np.maximum(logits.min(1), highest - np.float32(DEPTH))
    rows = np.zeros(len(logits), row_layout(logits.shape[1]))
    rows["scale"] = (highest - lowest) / np.float32(65535)
    rows["least"] = lowest - log_sums(logits).astype(np.float32)
    over = np.maximum(logits - lowest[:, None], 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.where(rows["scale"][:, None] > 0, np.rint(over / rows["scale"][:, None]), 0)
    rows["steps"][:, : logits.shape[1]] = steps
    return rows


def decode_rows(rows: NDArray[Any], n_vocab: int) -> Floats:
    """Log-probabilities as they were stored."""
    steps = rows["steps"][:, :n_vocab].astype(np.float32)
    found: Floats = rows["scale"][:, None] * steps + rows["least"][:, None]
    return found


class LogitsWriter:
    """Writes what a model says of the chunks of a text."""

    def __init__(self, output: Output, chunks: Chunks, n_vocab: int) -> None:
        self._output = output
        head = np.array((MAGIC, chunks.n_ctx, n_vocab, len(chunks.chunks)), HEADER)
        output.write(head.tobytes())
        count = chunks.n_ctx * len(chunks.chunks)
        output.write(np.array(chunks.tokens[:count], "<i4"))

    def write(self, logits: Floats) -> None:
        self._output.write(encode_rows(logits).tobytes())


@contextlib.contextmanager
def writing_logits(
    path: str | os.PathLike[str], chunks: Chunks, n_vocab: int
) -> Iterator[LogitsWriter]:
    """Write a file that appears when all of it is written."""
    if chunks.stride != chunks.n_ctx:
        raise ShapeError("logits are saved of chunks that follow each other: leave stride out")
    rows = chunks.n_counted * len(chunks.chunks)
    needed = HEADER.itemsize + rows * row_layout(n_vocab).itemsize
    with replacing(path, needed) as output:
        yield LogitsWriter(output, chunks, n_vocab)


def saving_surprises(
    model: Model, chunks: Chunks, path: str | os.PathLike[str], *, n_batch: int = N_BATCH
) -> Iterator[Doubles]:
    """The surprise of each chunk's tokens that count, while the logits are written to a file."""
    with writing_logits(path, chunks, model.decoder.n_vocab) as writer:
        for number, pieces in chunk_logits(model, chunks, n_batch=n_batch):
            found, done, targets = [], 0, chunks.targets(number)
            for logits in pieces:
                writer.write(logits)
                found.append(-target_logprobs(logits, targets[done : done + len(logits)]))
                done += len(logits)
            yield np.concatenate(found)


class SavedLogits:
    """A file of log-probabilities: the text in chunks, and what a model said of it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        size = self.path.stat().st_size
        head = np.zeros((), HEADER)
        if size >= HEADER.itemsize:
            head = np.fromfile(self.path, HEADER, 1)[0]
        if head["magic"] != MAGIC:
            raise FormatError(
                f"{self.path} has no saved logits: make the file with "
                f"`llamapy perplexity --kl-divergence-base`",
                offset=0,
                field="magic",
                value=bytes(head["magic"]),
            )
        sizes = (int(head[name]) for name in ("n_ctx", "n_vocab", "n_chunks"))
        self.n_ctx, self.n_vocab, self.n_chunks = sizes
        if self.n_ctx < 4 or self.n_vocab < 1 or self.n_chunks < 1:
            raise FormatError(
                f"{self.path} says {self.n_chunks} chunks of {self.n_ctx} tokens of a vocabulary "
                f"of {self.n_vocab}: it is damaged, make it again",
                offset=8,
                field="header",
            )
        self._n_rows = self.n_ctx - 1 - self.n_ctx // 2  # of a chunk
        self._layout = row_layout(self.n_vocab)
        self._start = HEADER.itemsize + 4 * self.n_ctx * self.n_chunks
        whole = self._start + self.n_chunks * self._n_rows * self._layout.itemsize
        if size < whole:
            raise FormatError(
                f"{self.path} has {size} bytes and should have {whole}: it is cut off, make it "
                f"again",
                offset=size,
                field="rows",
            )

    def tokens(self) -> list[int]:
        """The tokens of the text."""
        found = np.fromfile(
            self.path, "<i4", self.n_ctx * self.n_chunks, offset=HEADER.itemsize
        ).tolist()
        if min(found) < 0 or max(found) >= self.n_vocab:
            raise FormatError(
                f"{self.path} has tokens that are not in its vocabulary of {self.n_vocab}: it is "
                f"damaged, make it again",
                offset=HEADER.itemsize,
                field="tokens",
            )
        return found

    def check_vocabulary(self, model: Model) -> None:
        """Refuse a model with other tokens."""
        if self.n_vocab != model.decoder.n_vocab:
            raise ShapeError(
                f"{self.path} was made with a vocabulary of {self.n_vocab} tokens, and this model "
                f"has {model.decoder.n_vocab}: compare models of one vocabulary"
            )

    def read(self, chunk: int, row: int, count: int) -> Floats:
        """Log-probabilities [count, V] of a chunk, from one of its tokens that count on."""
        at = self._start + (chunk * self._n_rows + row) * self._layout.itemsize
        rows = np.fromfile(self.path, self._layout, count, offset=at)
        return decode_rows(rows, self.n_vocab)
