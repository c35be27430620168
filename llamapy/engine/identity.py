"""Which model this is: a hash that files of other models are told from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..gguf.tensor import TensorInfo

SAMPLES = 8  # rows of each tensor; reading all of it would take as long as loading the model


def model_hash(kind: type, metadata: Mapping[str, Any], tensors: Mapping[str, Any]) -> str:
    """SHA-256 of the architecture, its keys, and of each tensor its name, shape and some rows."""
    prefix = f"{metadata['general.architecture']}."
    keys = {name: _plain(metadata[name]) for name in sorted(metadata) if name.startswith(prefix)}
    found = hashlib.sha256(f"{kind.__module__}.{kind.__qualname__}".encode())
    found.update(json.dumps(keys, sort_keys=True).encode())
    for name in sorted(tensors):
        shape = list(tensors[name].shape)
        found.update(f"{name} {shape}".encode())
        for row in _rows(tensors[name]):
            found.update(row)
    return found.hexdigest()


def _rows(tensor: Any) -> list[bytes]:
    """The bytes of some rows, from the first to the last."""
    shape = tensor.shape
    count = int(np.prod(shape[:-1], dtype=np.int64))
    if not count or not shape or not shape[-1]:
        return []
    rows = np.unique(np.linspace(0, count - 1, SAMPLES).astype(np.int64)).tolist()
    if isinstance(tensor, TensorInfo):
        return [tensor.encoded_rows(row, row + 1).tobytes() for row in rows]
    matrix = np.reshape(tensor, (count, shape[-1]))
    return [np.ascontiguousarray(matrix[row]).tobytes() for row in rows]


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
