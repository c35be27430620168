"""Texts as they are passed to a model: as text, or as the ids of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import UnsupportedError

if TYPE_CHECKING:
    from ..model import Model


def is_one_text(texts: Any) -> bool:
    """Whether this is one text, and not several: text, or ids."""
    if isinstance(texts, str | bytes):
        return True
    _check_several(texts)
    return not any(isinstance(item, str | bytes | list | tuple | np.ndarray) for item in texts)


def _check_several(texts: Any) -> None:
    """Refuse what is nothing that could be gone through."""
    if isinstance(texts, Mapping) or not isinstance(texts, Iterable):
        raise UnsupportedError(
            f"{texts!r:.200} is neither text nor token ids: pass a text, a list of ids, or a list "
            f"of either"
        )


def ids_of_all(model: Model, texts: Any) -> list[list[int]]:
    """The ids of one or several texts, with what the file says stands around each."""
    if is_one_text(texts):
        return [ids_of(model, texts)]
    return [ids_of(model, text) for text in texts]


def ids_of(model: Model, text: Any, *, special: bool = False, bos: bool | None = None) -> list[int]:
    """The ids of a text; ids stay as they are."""
    if isinstance(text, str | bytes):
        if not model.has_tokenizer:
            raise UnsupportedError(
                "text needs a tokenizer, and this file has none: pass lists of token ids"
            )
        return model.tokenizer.encode(text, special=special, bos=bos)
    _check_several(text)
    if not all(isinstance(token, int | np.integer) for token in text):
        raise UnsupportedError(
            f"{text!r:.200} is neither text nor a list of token ids: pass one of them"
        )
    return [int(token) for token in text]


def pieces_of(model: Model, tokens: Sequence[int]) -> list[str]:
    """What each token stands for; its number, if the file does not say."""
    known = len(model.tokenizer) if model.has_tokenizer else 0
    return [
        model.tokenizer.piece(token, special=True).decode("utf-8", "backslashreplace")
        if token < known
        else f"[{token}]"
        for token in tokens
    ]
