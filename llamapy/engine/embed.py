"""Embedding: one vector for each sequence of tokens, pooled as the file says or as asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import ops
from ..cache import Batch
from ..errors import ShapeError, UnsupportedError
from ..models import Encoder, EncoderDecoder
from ..ops import looking
from ..tensor import Tensor

if TYPE_CHECKING:
    from .model import Model

Floats = NDArray[np.float32]

# as files number them: every token's embedding; their mean; the first's; the last's; a score
POOLINGS = ("none", "mean", "cls", "last", "rank")
N_BATCH = 512  # tokens of sequences that are computed together


def embed(
    model: Model, tokens: Sequence[int] | Sequence[Sequence[int]], pooling: str | None = None
) -> Floats:
    """The embeddings of one or several sequences, [sequences, E]."""
    sequences = _sequences(tokens)
    kind = stated(model) if pooling is None else pooling
    if kind not in POOLINGS:
        raise UnsupportedError(f"pooling is {kind!r}: choose one of {', '.join(POOLINGS)}")
    if kind == "none" and len(sequences) != 1:
        raise ShapeError(
            f"without pooling each token has an embedding, and {len(sequences)} sequences were "
            f"given: pass one of them, or choose pooling='mean', 'cls' or 'last'"
        )
    return np.concatenate([_pooled(model, group, kind) for group in _groups(sequences)])


def stated(model: Model) -> str:
    """The kind of pooling that the file asks for; none if it says nothing."""
    number = _stated(model, "pooling_type", 0)
    if not 0 <= number < len(POOLINGS):
        raise UnsupportedError(
            f"pooling_type is {number} in this file, and 0 to {len(POOLINGS) - 1} are known: "
            f"say how to pool, with pooling='mean' for example"
        )
    return POOLINGS[number]


def _stated(model: Model, name: str, default: int) -> int:
    return int(model.metadata.get(f"{model.metadata['general.architecture']}.{name}", default))


def _sequences(tokens: Sequence[Any]) -> list[list[int]]:
    if isinstance(tokens, str) or any(isinstance(item, str) for item in tokens):
        raise UnsupportedError("text cannot be embedded yet: pass lists of token ids")
    nested = [isinstance(item, (list, tuple, np.ndarray)) for item in tokens]
    if all(nested) and nested:
        return [[int(token) for token in sequence] for sequence in tokens]
    return [[int(token) for token in tokens]]


def _groups(sequences: list[list[int]]) -> Iterator[list[list[int]]]:
    """Sequences that are computed together: whole ones, up to a number of tokens."""
    group: list[list[int]] = []
    for sequence in sequences:
        if group and sum(map(len, group)) + len(sequence) > N_BATCH:
            yield group
            group = []
        group.append(sequence)
    yield group


def _pooled(model: Model, sequences: list[list[int]], kind: str) -> Floats:
    """The pooled embeddings of sequences that are computed together."""
    lengths = [len(sequence) for sequence in sequences]
    whose = np.repeat(np.arange(len(sequences)), lengths)
    if kind == "rank":
        kind, rank = _before_ranking(model), True
    else:
        rank = False
    ends = np.cumsum(lengths)
    outputs = {"cls": ends - lengths, "last": ends - 1}.get(kind, np.arange(len(whose)))
    x = _embeddings(model, sequences, whose.tolist(), outputs.tolist())  # [outputs, E]
    if kind == "mean":
        places = (Tensor.of(array, model.backend) for array in (whose, np.array(lengths)))
        x = ops.mean_pool(x, *places)  # [sequences, E]
    if rank:
        assert isinstance(model.decoder, Encoder)
        x = model.decoder.rank(x)  # [sequences, classes]
    return np.array(x.numpy())


def _before_ranking(model: Model) -> str:
    """How embeddings are pooled for the classifier."""
    decoder = model.decoder
    if not isinstance(decoder, Encoder) or not decoder.ranks:
        raise UnsupportedError(
            f"pooling='rank' needs a classifier, and this {type(decoder).__name__} has none: "
            f"choose pooling='mean', 'cls' or 'last'"
        )
    number = _stated(model, "classifier.pooling_type", POOLINGS.index(decoder.rank_pooling))
    return "mean" if POOLINGS[number] == "mean" else "cls"


def _embeddings(
    model: Model, sequences: list[list[int]], whose: list[int], outputs: list[int]
) -> Tensor:
    """Rows of embeddings; of a decoder, what its last norm gives."""
    decoder = model.decoder
    if isinstance(decoder, EncoderDecoder):
        raise UnsupportedError(
            f"{type(decoder).__name__} continues what its encoder has read, and embeds no text: "
            f"model.encode gives the encoder's embeddings"
        )
    tokens = [token for sequence in sequences for token in sequence]
    n_ctx = max(map(len, sequences))
    model.check_tokens(tokens)
    if n_ctx > model.n_ctx:
        raise UnsupportedError(
            f"a sequence has {n_ctx} tokens, and this model is loaded with a context of "
            f"{model.n_ctx}: shorten it"
        )
    cache = model.cache(n_ctx, n_sequences=len(sequences), n_batch=len(tokens), pad=int)
    step = cache.begin(Batch(tokens, whose, outputs))
    if isinstance(decoder, Encoder):
        with looking(hooks=model.hooks):
            rows = decoder(step)
        assert rows is not None
        return rows
    with looking(("result_norm",), model.hooks) as look:
        decoder(step)
    look.check_all_met()
    return Tensor.of(look.seen["result_norm"], model.backend)
