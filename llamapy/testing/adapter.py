"""Invented adapters and control vectors for tests: their numbers are a formula of name and seed."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import gguf, quants
from ..engine.adapting.lora import ALPHA, BY_ROW, A, B
from ..engine.adapting.steering import ControlVector
from ..gguf import Encoded
from .model import Fixture, normal

Floats = NDArray[np.float32]


def invented_lora(
    path: str | os.PathLike[str],
    shapes: Mapping[str, Sequence[int]],
    *,
    architecture: str = "llama",
    names: Iterable[str] = ("blk.*_[qkv].weight", "blk.*.attn_output.weight", "blk.*.ffn_*.weight"),
    rank: int = 4,
    alpha: float | None = 8.0,
    seed: int = 1,
    quant: str = "F32",
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write an adapter for the matrices, of these shapes, whose names match; norms have none."""
    tensors: dict[str, Any] = {}
    for name, shape in shapes.items():
        if len(shape) < 2 or not any(fnmatchcase(name, pattern) for pattern in names):
            continue
        narrow, wide = (*shape[:-2], rank, shape[-1]), (*shape[:-1], rank)
        if name.endswith(BY_ROW):
            narrow, wide = (shape[0], rank), (shape[1], rank)
        for ending, size in ((A, narrow), (B, wide)):
            tensors[name + ending] = _encoded(_numbers(name + ending, size, seed), quant)
    said = {
        "general.type": "adapter",
        "general.architecture": architecture,
        "general.name": Path(path).stem,
        "adapter.type": "lora",
        **({} if alpha is None else {ALPHA: float(alpha)}),
        **(metadata or {}),
    }
    gguf.write(path, said, tensors)
    return Path(path)


def invented_vector(layers: Iterable[int], n_embd: int, seed: int = 1) -> ControlVector:
    """A control vector with directions for these layers."""
    return ControlVector({i: _numbers(f"direction.{i}", (n_embd,), seed) for i in layers})


def deeper(fixture: Fixture, layers: int) -> Fixture:
    """The fixture with this many layers, all like its last one."""
    key = f"{fixture.metadata['general.architecture']}.block_count"
    last = f"blk.{fixture.metadata[key] - 1}."
    tensors = dict(fixture.tensors)
    for name, shape in fixture.tensors.items():
        if name.startswith(last):
            for layer in range(fixture.metadata[key], layers):
                tensors[re.sub(r"\d+", str(layer), name, count=1)] = shape
    metadata = {**fixture.metadata, key: layers}
    return dataclasses.replace(fixture, metadata=metadata, tensors=tensors)


def _numbers(name: str, shape: tuple[int, ...], seed: int) -> Floats:
    values = normal(math.prod(shape), (zlib.crc32(name.encode()) << 16) ^ seed)
    return (values * (0.7 / math.sqrt(shape[-1]))).astype(np.float32).reshape(shape)


def _encoded(values: Floats, quant: str) -> Any:
    """In a block format, if its blocks divide the rows."""
    kind = quants.get(quant)
    if values.shape[-1] % kind.block or quant == "F32":
        return values
    return Encoded(kind, values.shape, kind.quantize(values.reshape(-1, values.shape[-1])))
