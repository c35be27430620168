"""A long text in chunks of one length, as perplexity and importance are measured on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import ShapeError, UnsupportedError
from .texts import ids_of

if TYPE_CHECKING:
    from ..model import Model


@dataclass(frozen=True)
class Chunks:
    """Chunks of `n_ctx` tokens. Of each, the tokens behind number `first` count."""

    tokens: list[int]  # of the whole text
    chunks: list[list[int]]
    n_ctx: int
    first: int  # the token whose successor is the first that counts
    stride: int

    @property
    def n_counted(self) -> int:
        """How many tokens of a chunk count."""
        return self.n_ctx - 1 - self.first

    def targets(self, number: int) -> list[int]:
        """The tokens of a chunk that count."""
        start = number * self.stride
        return self.tokens[start + self.first + 1 : start + self.n_ctx]


def chunked(
    model: Model,
    text: Any,
    n_ctx: int,
    *,
    stride: int = 0,
    n_chunks: int | None = None,
    first_chunk: int = 0,
    special: bool = False,
) -> Chunks:
    """The chunks of a text, or of token ids.

    Without a stride they follow each other, begin with the token that begins a text where the
    vocabulary has one, and their second half counts. With one, each begins so many tokens after
    the one before, and the last so many tokens count. That is how llama.cpp does it.
    """
    if n_ctx < 4 or not 0 <= stride < n_ctx:
        raise ShapeError(
            f"n_ctx is {n_ctx} and stride {stride}: a chunk has at least 4 tokens, and a stride "
            f"is 0 or shorter than that"
        )
    if n_chunks is not None and n_chunks < 1:
        raise ShapeError(f"n_chunks is {n_chunks}: pass None for all, or 1 and more")
    if n_ctx > model.n_ctx:
        raise UnsupportedError(
            f"chunks of {n_ctx} tokens do not fit into this model's context of {model.n_ctx}: "
            f"pass n_ctx={model.n_ctx} or less, or load the model with a larger n_ctx"
        )
    tokens = _tokens(model, text, special)
    if first_chunk < 0 or first_chunk * n_ctx > len(tokens):
        raise ShapeError(f"there is no chunk {first_chunk}: the text has {len(tokens)} tokens")
    tokens = tokens[first_chunk * n_ctx :]
    if len(tokens) < 2 * n_ctx:
        raise ShapeError(
            f"the text has {len(tokens)} tokens, and chunks of {n_ctx} take {2 * n_ctx} at least: "
            f"pass a longer text, or n_ctx={max(4, len(tokens) // 2)}"
        )
    if stride:
        there = -(-(len(tokens) - n_ctx) // stride)
        starts = range(0, min(there, n_chunks or there) * stride, stride)
        chunks = [tokens[start : start + n_ctx] for start in starts]
        return Chunks(tokens, chunks, n_ctx, n_ctx - stride - 1, stride)
    return whole_chunks(model, tokens, n_ctx, n_chunks)


def whole_chunks(
    model: Model, tokens: list[int], n_ctx: int, n_chunks: int | None = None
) -> Chunks:
    """Chunks that follow each other; their second half counts."""
    begin, there = begin_token(model), len(tokens) // n_ctx
    chunks = [tokens[i * n_ctx : (i + 1) * n_ctx] for i in range(min(there, n_chunks or there))]
    if begin is not None:
        chunks = [[begin, *chunk[1:]] for chunk in chunks]
    return Chunks(tokens, chunks, n_ctx, n_ctx // 2, n_ctx)


def begin_token(model: Model) -> int | None:
    """What stands at the beginning of every text, if something does."""
    if not model.has_tokenizer:
        return None
    return next(iter(model.tokenizer.before()), None)


def _tokens(model: Model, text: Any, special: bool) -> list[int]:
    tokens = ids_of(model, text, special=special, bos=False)
    begin = begin_token(model)
    return [begin, *tokens] if begin is not None and isinstance(text, str | bytes) else tokens
