"""Embeddings, as lists of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UnsupportedError

if TYPE_CHECKING:
    from .llama import Llama


def create_embedding(
    self: Llama, input: str | list[str], model: str | None = None
) -> dict[str, Any]:
    """Embed texts, as a dictionary of OpenAI's interface."""
    texts = [input] if isinstance(input, str) else input
    embeddings, count = self.embed(texts, return_count=True)
    data = [
        {"object": "embedding", "embedding": embedding, "index": index}
        for index, embedding in enumerate(embeddings)
    ]
    usage = {"prompt_tokens": count, "total_tokens": count}
    name = self.model_path if model is None else model
    return {"object": "list", "data": data, "model": name, "usage": usage}


def embed(
    self: Llama,
    input: str | list[str],
    normalize: bool = False,
    truncate: bool = True,
    return_count: bool = False,
) -> Any:
    """A list of numbers for each text, or one for each of its tokens if nothing pools them."""
    if not self.embedding:
        raise UnsupportedError("embeddings were not asked for: make the Llama with embedding=True")
    texts = [input] if isinstance(input, str) else input
    sequences = [self.tokenize(text.encode()) for text in texts]
    if truncate:
        sequences = [ids[: self.n_batch] for ids in sequences]
    for ids in sequences:
        if len(ids) > self.n_batch:
            raise UnsupportedError(
                f"Requested tokens ({len(ids)}) exceed batch size of {self.n_batch}: shorten the "
                f"text, or make the Llama with a larger n_batch"
            )
    data: Any
    if _pooling(self) == "none":
        data = [[_list(row, normalize) for row in _rows(self, ids)] for ids in sequences]
    else:
        rows = self.llama_model.embed(sequences, _pooling(self), normalize=False)
        data = [_list(row, normalize) for row in rows]
    given = data[0] if isinstance(input, str) else data
    return (given, sum(map(len, sequences))) if return_count else given


def _rows(llama: Llama, ids: list[int]) -> Any:
    return llama.llama_model.embed(ids, "none", normalize=False)


def _pooling(llama: Llama) -> str:
    """How the tokens' embeddings become one: as was asked, as the file says, or not at all."""
    if llama._pooling is not None:
        return llama._pooling
    name = llama.metadata.get("general.architecture")
    stated = int(llama.metadata.get(f"{name}.pooling_type", 0))
    return ("none", "mean", "cls", "last", "rank")[stated]


def _list(row: Any, normalize: bool) -> list[float]:
    size = float(np.linalg.norm(row)) if normalize else 1.0
    return [float(each) for each in (row / size if size else row)]
