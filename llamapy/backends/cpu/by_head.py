"""Products in which every head, or every member of a batch, has a matrix of its own.

That is what experts are, but that nobody chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .tape import Tape


def _by_head(experts: Callable[..., None]) -> Callable[..., None]:
    def put(tape: Tape, out: Any, x: Any, w: Any) -> None:
        n, heads, _ = x.shape
        experts(tape, out, x, w, np.tile(np.arange(heads, dtype=np.int32), (n, 1)))

    return put


def _by_batch(experts: Callable[..., None]) -> Callable[..., None]:
    def put(tape: Tape, out: Any, x: Any, w: Any) -> None:
        batch, n, _ = x.shape
        experts(tape, out, x, w, np.repeat(np.arange(batch, dtype=np.int32)[:, None], n, 1))

    return put


def kernels(products: Mapping[str, Callable[..., None]]) -> dict[str, Callable[..., None]]:
    """What goes on a tape for each format, made of the products of experts."""
    found: dict[str, Callable[..., None]] = {}
    for name, put in products.items():
        operation, _, format_name = name.partition(".")
        if operation == "expert_matmul":
            found[".".join(filter(None, ("head_matmul", format_name)))] = _by_head(put)
            if format_name:  # float32 has a way of its own
                found[f"batched_matmul.{format_name}"] = _by_batch(put)
    return found
