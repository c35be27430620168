"""A fingerprint of what a file holds, whatever way it is laid out.

Two files have the same one if they hold the same metadata values under the same types and the same
tensors in the same block formats. The order of keys and tensors, the alignment, the byte order, the
format's version and how the file was split do not count.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import threads as pool
from .reader import GGUF, SPLIT_TYPES
from .summary import type_name
from .tensor import TensorInfo
from .types import ALIGNMENT_KEY, LITTLE

LAYOUT_KEYS = frozenset((ALIGNMENT_KEY, *SPLIT_TYPES))
"""keys that tell how a file is laid out and not what it holds"""

PIECE_BYTES = 1 << 22
_RULES = b"llamapy content hash 1"

FileOrPath: TypeAlias = "GGUF | str | os.PathLike[str]"


@dataclass(frozen=True)
class ContentHash:
    """SHA-256 of a whole file's contents and of each tensor, as hexadecimal digits."""

    whole: str
    tensors: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        return self.whole


def content_hash(file: FileOrPath, *, threads: int | None = None) -> ContentHash:
    """Hash a file's contents, several tensors at a time, each in small pieces.

    A tensor's hash is that of its type, shape and little-endian bytes; its name counts in the
    whole one only, so that a renamed tensor is known again.
    """
    with opened(file) as source:
        # the largest first: nobody waits at the end for one that began late
        tensors = sorted(source.values(), key=lambda tensor: -tensor.n_bytes)
        digests: dict[str, bytes] = {}

        def work(first: int, last: int) -> None:
            for tensor in tensors[first:last]:
                digests[tensor.name] = _tensor_digest(tensor)

        pool.run(work, len(tensors), threads=threads)
        whole = _hash(_RULES)
        for key in sorted(source.metadata.keys() - LAYOUT_KEYS):
            value = source.metadata.value(key)
            _add(whole, key.encode(), type_name(value.type).encode(), value.encoded(LITTLE))
        for name in sorted(source):
            _add(whole, name.encode(), digests[name])
        return ContentHash(whole.hexdigest(), {name: digests[name].hex() for name in source})


@contextlib.contextmanager
def opened(file: FileOrPath) -> Iterator[GGUF]:
    """The file itself, or the one at this path for as long as it is needed."""
    if isinstance(file, GGUF):
        yield file
    else:
        with GGUF.open(file) as source:
            yield source


def pieces(tensor: TensorInfo, n_values: int) -> Iterator[NDArray[np.uint8]]:
    """A tensor's bytes in little-endian order, so many values' worth at a time: whole blocks."""
    layout = tensor.quant.layout
    step = n_values // tensor.quant.block * layout.itemsize
    raw = tensor.raw.reshape(-1)
    for start in range(0, len(raw), step):
        piece = raw[start : start + step]
        if tensor.source.order is not LITTLE:
            piece = piece.view(layout.newbyteorder(">")).astype(layout).view(np.uint8)
        yield piece


def _tensor_digest(tensor: TensorInfo) -> bytes:
    digest = _hash(_RULES)
    shape = ",".join(map(str, tensor.shape))
    _add(digest, tensor.quant.name.encode(), shape.encode())
    values_per_byte = tensor.quant.block / tensor.quant.layout.itemsize
    n_values = max(1, int(PIECE_BYTES * values_per_byte) // tensor.quant.block)
    for piece in pieces(tensor, n_values * tensor.quant.block):
        digest.update(piece)
    return digest.digest()


def _hash(rules: bytes) -> Any:
    digest = hashlib.sha256()
    _add(digest, rules)
    return digest


def _add(digest: Any, *parts: bytes | memoryview) -> None:
    """Add parts, each after its length, so that none can pass for another."""
    for part in parts:
        digest.update(LITTLE.u64.pack(len(part)))
        digest.update(part)
