"""Embedding: one vector for each text, pooled as the file says or as asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import ops
from ..cache import Batch
from ..errors import UnsupportedError
from ..models import Encoder, EncoderDecoder
from ..tensor import Tensor
from .generating.texts import ids_of_all, is_one_text

if TYPE_CHECKING:
    from .model import Model

Floats = NDArray[np.float32]

# as files number them: every token's embedding; their mean; the first's; the last's; a score
POOLINGS = ("none", "mean", "cls", "last", "rank")
N_BATCH = 512  # tokens of sequences that are computed together


def embed(
    model: Model, texts: Any, pooling: str | None = None, *, normalize: bool | float = False
) -> Floats | list[Floats]:
    """The embeddings of one or several texts, [texts, E]; without pooling, [tokens, E] of each."""
    sequences = ids_of_all(model, texts)
    kind = stated(model) if pooling is None else pooling
    if kind not in POOLINGS:
        raise UnsupportedError(f"pooling is {kind!r}: choose one of {', '.join(POOLINGS)}")
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    rows: dict[int, Floats] = {}
    for group in _groups(order, sequences):
        found = _pooled(model, [sequences[i] for i in group], kind)
        ends = np.cumsum([len(sequences[i]) if kind == "none" else 1 for i in group])
        rows |= zip(group, np.split(found, ends[:-1]), strict=True)
    if kind != "rank":
        rows = {i: normalized(row, normalize) for i, row in rows.items()}
    given = [rows[i] for i in range(len(sequences))]
    if kind != "none":
        return np.concatenate(given)
    return given[0] if is_one_text(texts) else given


def normalized(rows: Floats, normalize: bool | float) -> Floats:
    """Rows of length 1: True or 2 by the Euclidean norm, p by the p-norm. False leaves them."""
    if normalize is False:
        return rows
    if not normalize > 0:
        raise UnsupportedError(
            f"normalize is {normalize}: pass True, False, or the order of a norm, such as 1 or 2"
        )
    order = 2.0 if normalize is True else float(normalize)
    norms = np.linalg.norm(rows.astype(np.float64), order, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0, casting="same_kind")


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


def _groups(order: Sequence[int], sequences: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Texts that are computed together: whole ones of similar lengths, up to so many tokens."""
    group: list[int] = []
    for i in order:
        longest = len(sequences[group[0]]) if group else 0
        if group and longest * (len(group) + 1) > N_BATCH:
            yield group
            group = []
        group.append(i)
    if group:
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
        with model.looking():
            rows = decoder(step)
        assert rows is not None
        return rows
    with model.looking(("result_norm",)) as look:
        decoder(step)
    look.check_all_met()
    return Tensor.of(look.seen["result_norm"], model.backend)
