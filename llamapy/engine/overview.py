"""A loaded model as a notebook shows it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .. import tables

if TYPE_CHECKING:
    from .model import Model


def html_of(model: Model) -> str:
    """What a model is, where it lies, and what is added to it."""
    if model._decoder is None:
        return tables.as_html([], caption=repr(model)[1:-1])
    decoder, config = model.decoder, model.config
    weights = [each for each in decoder.weights().values() if each is not None]
    rows = [
        ("name", str(model.metadata.get("general.name", ""))),
        ("architecture", type(decoder).__name__),
        ("layers", f"{config.n_layer} of {config.n_embd}"),
        ("vocabulary", f"{decoder.n_vocab:,} tokens"),
        ("context", f"{model.n_ctx:,} tokens, remembered as {model.kv_type}"),
        ("weights", f"{sum(math.prod(each.shape) for each in weights):,}"),
        ("device", model.backend.name),
        ("adapters", ", ".join(map(repr, model.adapters))),
        ("steered by", ", ".join(map(repr, model.steering.handles))),
        ("hooks", ", ".join(model.hooks)),
    ]
    return tables.as_html([row for row in rows if row[1]], left=2)
