"""Models for tests: golden ones whose weights are a formula, invented ones, and their contract.

A golden fixture is a JSON file: metadata, a list of tensors, tokens, and the logits that llama.cpp
computed for them. The weights are not stored: `fill` gives them from a tensor's name and a seed.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend
from ..backends import get as get_backend
from ..cache import Batch
from ..engine.load import build
from ..engine.model import Model
from ..models import find
from ..nn import declared
from ..ops._signature import evaluate
from ..plan import record

Floats = NDArray[np.float32]


# ---- golden models


@dataclass(frozen=True)
class Fixture:
    """A model of llama.cpp's, with what it computed."""

    name: str
    metadata: dict[str, Any]
    tensors: dict[str, tuple[int, ...]]  # shapes, rows first
    seed: int
    tokens: list[int]
    positions: list[int]  # those whose logits were kept
    logits: Floats  # [positions, V]

    @classmethod
    def read(cls, path: str | Path) -> Fixture:
        """A fixture from its JSON file."""
        data = json.loads(Path(path).read_text())
        metadata = {name: value for name, (_, value) in data["kv"].items()}
        tensors = {name: tuple(reversed(shape)) for name, shape, _ in data["tensors"]}
        logits = np.array(data["logits"], np.float32)
        return cls(
            data["name"],
            metadata,
            tensors,
            data["seed"],
            data["tokens"],
            data["positions"],
            logits,
        )

    def weights(self) -> dict[str, Floats]:
        """All tensors, computed."""
        return {name: fill(name, shape, self.seed) for name, shape in self.tensors.items()}

    def model(self, device: str | Backend = "numpy", *, kv_type: str = "f32") -> Model:
        """The model on a device."""
        return build(self.metadata, self.weights(), get_backend(device), kv_type=kv_type)


def fill(name: str, shape: tuple[int, ...], seed: int) -> Floats:
    """The weights of a tensor: nearly normal numbers, scaled by what its name says it is."""
    g = _normal(math.prod(shape), (zlib.crc32(name.encode()) << 16) ^ seed)
    leaf = name.rsplit("blk.", 1)[-1]
    if "rope_freqs" in leaf or "rope_factors" in leaf:
        values = 1 + 0.5 * np.abs(g)
    elif leaf.endswith(".bias") or "exp_probs_b" in leaf:
        values = 0.1 * g
    elif "norm" in leaf or "scale" in leaf:
        values = 1 + 0.1 * g
    elif len(shape) == 1:
        values = 0.5 * g
    elif name.startswith("token_embd"):
        values = g
    else:
        values = g * (1.5 / math.sqrt(shape[-1]))
    return values.astype(np.float32).reshape(shape)


def _normal(n: int, key: int) -> NDArray[np.float64]:
    """n numbers of mean 0 and variance 1: sums of the four quarters of a hashed counter."""
    mask = np.uint64(0xFFFF)
    with np.errstate(over="ignore"):
        z = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(key)) * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
        z ^= z >> np.uint64(31)
    quarters = [((z >> np.uint64(shift)) & mask).astype(np.float64) for shift in (0, 16, 32, 48)]
    return (sum(quarters) / 65535.0 - 2.0) * np.sqrt(3.0)


# ---- invented models


def invented(
    architecture: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    device: str | Backend = "numpy",
    kv_type: str = "f32",
    n_vocab: int = 40,
    seed: int = 0,
) -> Model:
    """A tiny model of an architecture, with weights made up from its own declarations.

    `metadata` are keys without the architecture's name, to add to the usual small sizes.
    """
    cls = find(architecture)
    values = {
        "block_count": 3,
        "context_length": 128,
        "embedding_length": 32,
        "feed_forward_length": 48,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "attention.layer_norm_epsilon": 1e-5,
        "attention.sliding_window": 5,
        **(metadata or {}),
    }
    full = {f"{architecture}.{name}": value for name, value in values.items()}
    full["general.architecture"] = architecture
    config = cls.Config.read(architecture, full)
    tensors = [(d, config.sizes) for d in declared(cls.Ends)]
    for index in range(config.n_layer):
        sizes = config.at(index).sizes
        tensors += [(d, sizes) for d in declared(cls.Layer, f"blk.{index}.")]
    weights = {
        d.name: fill(d.name, tuple(evaluate(s, {"V": n_vocab, **sizes}) for s in d.shape), seed)
        for d, sizes in tensors
        if d.required
    }
    return build(full, weights, get_backend(device), kv_type=kv_type)


# ---- the contract


def nmse(got: Any, want: Any) -> float:
    """Mean square of the difference over mean square of what was wanted."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    return float(np.square(got - want).mean() / np.square(want).mean())


def check_model(
    model: Model, tokens: Sequence[int], *, tolerance: float = 1e-10, split: int = 3
) -> None:
    """Assert that a model computes the same in every way that it can be asked to.

    All tokens at once, in two pieces, token by token through recorded plans, and together with
    another sequence: the logits of each token agree to this NMSE.
    """
    want = model.forward(tokens, logits="all").logits
    n = len(tokens)
    for name, got in {
        "in two pieces": _pieces(model, [tokens[: n // 2], tokens[n // 2 :]]),
        "token by token, recorded": _pieces(model, [[token] for token in tokens]),
        "token by token, eagerly": _eagerly(model, tokens),
        "beside another sequence": _beside(model, tokens, split),
    }.items():
        for position in range(n):
            difference = nmse(got[position], want[position])
            assert difference <= tolerance, (
                f"{type(model.decoder).__name__}, {name}: the logits of token {position} differ "
                f"from those of one forward pass by an NMSE of {difference:.1e} > {tolerance:.0e}"
            )


def _pieces(model: Model, pieces: Sequence[Sequence[int]]) -> Floats:
    cache = model.cache(sum(map(len, pieces)))
    return np.concatenate([model.run(cache, Batch.of(p, logits="all")) for p in pieces])


def _eagerly(model: Model, tokens: Sequence[int]) -> Floats:
    cache = model.cache(len(tokens))
    rows = []
    for token in tokens:
        logits = model.decoder(cache.begin(Batch.of([token])))
        assert logits is not None
        rows.append(logits.numpy()[:1])
    return np.concatenate(rows)


def _beside(model: Model, tokens: Sequence[int], split: int) -> Floats:
    """The sequence in a cache that another one shares, a few tokens of each at a time."""
    other = list(reversed(tokens))
    cache = model.cache(len(tokens), n_sequences=2)
    rows = []
    for start in range(0, len(tokens), split):
        piece = tokens[start : start + split]
        batches = [
            Batch.of(other[start : start + split], 7, logits="none"),
            Batch.of(piece, 3, logits="all"),
        ]
        rows.append(model.run(cache, Batch.joined(batches)))
    return np.concatenate(rows)


# ---- where two devices part


@dataclass(frozen=True)
class Divergence:
    """The first point at which two models differ, and the operations that led to it."""

    name: str
    nmse: float
    operations: list[str]

    def __str__(self) -> str:
        led = ", ".join(self.operations)
        return f"{self.name} differs by an NMSE of {self.nmse:.1e}, after {led}"


def compare(
    model: Model,
    device: str | Backend,
    other: str | Backend,
    tokens: Sequence[int] = tuple(range(16)),
    *,
    tolerance: float = 1e-8,
) -> Divergence | None:
    """Compute the same tokens with a model on two devices and find where they part, if they do.

    Operations are those of the first device since the last point at which both agreed.
    """
    with model.on(device) as first, model.on(other) as second:
        wanted = first.forward(tokens, logits="all", capture=("*",)).captured
        found = second.forward(tokens, logits="all", capture=("*",)).captured
        cache = first.cache(len(tokens), n_batch=len(tokens), pad=int)
        plan = record(first.decoder, cache.begin(Batch.of(tokens, logits="all")))
        agreed = 0
        for name, launched in plan.points():
            if name not in found:
                continue  # inside of a kernel
            difference = nmse(found[name], wanted[name])
            if not difference <= tolerance:
                operations = [launch.op for launch in plan.launches[agreed:launched]]
                return Divergence(name, difference, operations)
            agreed = launched
    return None
