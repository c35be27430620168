"""How far a model is from another one that it should equal, such as itself before quantizing.

Both are asked about the same text. For each token that counts, the Kullback-Leibler divergence says
how much of the reference's distribution the model misses.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ShapeError, UnsupportedError
from ..generating.chunks import Chunks, chunked, whole_chunks
from .perplexity import Progress, chunk_logits, mean_and_error, report
from .saved_logits import DEPTH, SavedLogits
from .teacher_forcing import N_BATCH, ROWS, Doubles, Floats, log_sums

if TYPE_CHECKING:
    from ..model import Model

PERCENTILES = (99.9, 99.0, 95.0, 90.0, 75.0, 50.0, 25.0, 10.0, 5.0, 1.0, 0.1)


@dataclass(frozen=True)
class Reference:
    """What is compared with. `read` gives log-probabilities: of a chunk, from a row, so many.

    Only those above `-depth` count: a file does not know what lies lower.
    """

    read: Callable[[int, int, int], Floats]
    depth: float = math.inf


@dataclass(frozen=True, eq=False)
class Divergences:
    """What was found for each token: arrays of one length."""

    surprise: Doubles  # the model's negative log-probability of the token
    base_surprise: Doubles  # the reference's
    kld: Doubles  # Kullback-Leibler divergence of the distributions
    p_change: Doubles  # the model's probability of the token, less the reference's
    same_top: NDArray[np.bool_]  # whether both find the same token likeliest

    @classmethod
    def joined(cls, parts: list[Divergences]) -> Divergences:
        columns = [[getattr(part, name) for part in parts] for name in cls.__dataclass_fields__]
        return cls(*(np.concatenate(column) for column in columns))

    def __len__(self) -> int:
        return len(self.kld)


@dataclass(frozen=True, eq=False)
class KLDivergence:
    """Statistics over a text. What has an error is (value, one standard error)."""

    tokens: Divergences
    n_ctx: int
    n_chunks: int

    @property
    def mean(self) -> tuple[float, float]:
        return mean_and_error(self.tokens.kld)

    @property
    def same_top(self) -> tuple[float, float]:
        """How often both find the same token likeliest."""
        share = float(self.tokens.same_top.mean())
        return share, math.sqrt(share * (1 - share) / max(1, len(self.tokens) - 1))

    @property
    def perplexity(self) -> tuple[float, float]:
        return _exp(mean_and_error(self.tokens.surprise))

    @property
    def base_perplexity(self) -> tuple[float, float]:
        """The reference's."""
        return _exp(mean_and_error(self.tokens.base_surprise))

    @property
    def log_ratio(self) -> tuple[float, float]:
        """The logarithm of the perplexity divided by the reference's."""
        return mean_and_error(self.tokens.surprise - self.tokens.base_surprise)

    @property
    def ratio(self) -> tuple[float, float]:
        """The perplexity divided by the reference's."""
        return _exp(self.log_ratio)

    @property
    def difference(self) -> tuple[float, float]:
        """The perplexity less the reference's."""
        (p, dp), (b, db) = self.perplexity, self.base_perplexity
        spread = dp**2 + db**2 - 2 * p * b * self._covariance
        return p - b, math.sqrt(max(0.0, spread))

    @property
    def correlation(self) -> float:
        """Of both models' surprise."""
        spread = (
            mean_and_error(self.tokens.surprise)[1] * mean_and_error(self.tokens.base_surprise)[1]
        )
        return self._covariance / spread if spread else math.nan

    @property
    def p_change(self) -> tuple[float, float]:
        """How much likelier the model finds the text's tokens than the reference."""
        return mean_and_error(self.tokens.p_change)

    @property
    def p_change_rms(self) -> tuple[float, float]:
        square, error = mean_and_error(self.tokens.p_change**2)
        root = math.sqrt(square)
        return root, 0.5 * error / root if root else 0.0

    def percentile(self, percent: float, of: str = "kld") -> float:
        """The value that so many percent of the tokens stay below; `of` is a column of tokens."""
        return float(np.percentile(getattr(self.tokens, of), percent))

    @property
    def _covariance(self) -> float:
        """Of both means of surprise."""
        t = self.tokens
        both = (t.surprise * t.base_surprise).mean() - t.surprise.mean() * t.base_surprise.mean()
        return float(both) / max(1, len(t) - 1)

    def rows(self) -> Iterator[tuple[str, str, float, float | None]]:
        """All of it in the order of llama-perplexity: part, name, value, error or None."""
        part = "perplexity"
        yield part, "mean PPL(Q)", *self.perplexity
        yield part, "mean PPL(base)", *self.base_perplexity
        yield part, "cor(ln(PPL(Q)), ln(PPL(base)))", self.correlation, None
        yield part, "mean ln(PPL(Q)/PPL(base))", *self.log_ratio
        yield part, "mean PPL(Q)/PPL(base)", *self.ratio
        yield part, "mean PPL(Q)-PPL(base)", *self.difference
        for part, name, column, mean in (
            ("KL divergence", "KLD", "kld", self.mean),
            ("token probability", "Δp", "p_change", self.p_change),
        ):
            yield part, f"mean {name}", *mean
            values = getattr(self.tokens, column)
            yield part, f"maximum {name}", float(values.max()), None
            for percent in PERCENTILES:
                told = f"median {name}" if percent == 50 else f"{percent:.1f}% {name}"
                yield part, told, self.percentile(percent, column), None
            yield part, f"minimum {name}", float(values.min()), None
        yield part, "RMS Δp", *self.p_change_rms
        yield part, "same top token", *self.same_top

    def __str__(self) -> str:
        lines, before = [], ""
        for part, name, value, error in self.rows():
            if part != before:
                lines += [f"== {part}"]
                before = part
            # probabilities are told in percent
            by, unit = (100, "%") if part == "token probability" else (1, "")
            told = f"{by * value:12.6f}{unit}"
            told += "" if error is None else f" +/- {by * error:.6f}{unit}"
            lines.append(f"{name:<32}{told}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"<KLDivergence {self.mean[0]:.6f} +/- {self.mean[1]:.6f}, same top "
            f"{self.same_top[0]:.2%}, of {len(self.tokens)} tokens>"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{part}</td><td>{name}</td><td>{value:.6f}</td>"
            f"<td>{'' if error is None else f'± {error:.6f}'}</td></tr>"
            for part, name, value, error in self.rows()
        )
        return f"<table>{rows}</table>"


def kl_divergence(
    model: Model,
    reference: Model | str | os.PathLike[str],
    text: Any = None,
    *,
    n_ctx: int = 512,
    n_chunks: int | None = None,
    n_batch: int = N_BATCH,
    progress: Progress | None = None,
) -> KLDivergence:
    """How far a model is from a reference: another model, or a file of saved logits.

    With a file, the text and the length of the chunks are the file's.
    """
    chunks, base = compared(model, reference, text, n_ctx=n_ctx, n_chunks=n_chunks, n_batch=n_batch)
    found: list[Divergences] = []
    for part in divergences(model, chunks, base, n_batch=n_batch):
        found.append(part)
        report(progress, len(found), len(chunks.chunks))
    return KLDivergence(Divergences.joined(found), chunks.n_ctx, len(found))


def compared(
    model: Model,
    reference: Model | str | os.PathLike[str],
    text: Any,
    *,
    n_ctx: int,
    n_chunks: int | None,
    n_batch: int,
) -> tuple[Chunks, Reference]:
    """The chunks that both are asked about, and what the reference says of them."""
    if isinstance(reference, str | os.PathLike):
        saved = SavedLogits(reference)
        saved.check_vocabulary(model)
        if text is not None:
            raise UnsupportedError(
                f"{saved.path} says which text its logits are of: leave the text out"
            )
        chunks = whole_chunks(model, saved.tokens(), saved.n_ctx, n_chunks)
        return chunks, Reference(saved.read, DEPTH)
    if reference.decoder.n_vocab != model.decoder.n_vocab:
        raise ShapeError(
            f"the reference has {reference.decoder.n_vocab} tokens and the model "
            f"{model.decoder.n_vocab}: compare models of one vocabulary"
        )
    if text is None:
        raise UnsupportedError("a model as reference needs a text: pass text=")
    chunks = chunked(model, text, n_ctx, n_chunks=n_chunks)
    return chunks, _asked(reference, chunks, n_batch)


def divergences(
    model: Model, chunks: Chunks, reference: Reference, *, n_batch: int = N_BATCH
) -> Iterator[Divergences]:
    """What is found for the tokens of each chunk, chunk by chunk."""
    for number, pieces in chunk_logits(model, chunks, n_batch=n_batch):
        targets, parts, done = chunks.targets(number), [], 0
        for logits in pieces:
            for at in range(0, len(logits), ROWS):
                rows = logits[at : at + ROWS]
                base = reference.read(number, done, len(rows))
                now = targets[done : done + len(rows)]
                parts.append(diverging(rows, base, now, reference.depth))
                done += len(rows)
        yield Divergences.joined(parts)


def diverging(
    logits: Floats, base: Floats, targets: list[int], depth: float = math.inf
) -> Divergences:
    """Compare logits with the log-probabilities of a reference, token by token."""
    found = logits - log_sums(logits)[:, None]  # float64
    there = base > -depth
    with np.errstate(invalid="ignore"):
        missed = np.where(there, np.exp(base, dtype=np.float64) * (base - found), 0.0)
    rows, ids = np.arange(len(targets)), np.asarray(targets)
    surprise, base_surprise = -found[rows, ids], -base[rows, ids].astype(np.float64)
    return Divergences(
        surprise,
        base_surprise,
        missed.sum(1),
        np.exp(-surprise) - np.exp(-base_surprise),
        logits.argmax(1) == base.argmax(1),
    )


def _asked(reference: Model, chunks: Chunks, n_batch: int) -> Reference:
    """What a model says of the chunks, in the order in which they are asked for."""
    rest = np.zeros((0, reference.decoder.n_vocab), np.float32)
    each = chunk_logits(reference, chunks, n_batch=n_batch)
    ahead = (logits for _, pieces in each for logits in pieces)

    def read(chunk: int, row: int, count: int) -> Floats:
        nonlocal rest
        parts = [rest[:count]]
        rest = rest[count:]
        while (missing := count - sum(map(len, parts))) > 0:
            rest = next(ahead)
            parts.append(rest[:missing])
            rest = rest[missing:]
        logits = np.concatenate(parts)
        found: Floats = (logits - log_sums(logits)[:, None]).astype(np.float32)
        return found

    return Reference(read)


def _exp(pair: tuple[float, float]) -> tuple[float, float]:
    value = math.exp(pair[0])
    return value, value * pair[1]
