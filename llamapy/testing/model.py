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
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend
from ..backends import get as get_backend
from ..cache import Batch, Cache
from ..cache.whole import WholeCache
from ..engine.load import build
from ..engine.model import Model
from ..gguf.values import infer
from ..models import Decoder, Encoder, EncoderDecoder, find
from ..ops._signature import evaluate

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
    logits: Floats  # [positions, V]; of encoders, embeddings [positions, E]
    mode: str = "decode"  # or embed; or encode+decode: the same tokens for both halves

    @classmethod
    def read(cls, path: str | Path) -> Fixture:
        """A fixture from its JSON file."""
        data = json.loads(Path(path).read_text())
        metadata = {name: value for name, (_, value) in data["kv"].items()}
        tensors = {name: tuple(reversed(shape)) for name, shape, _ in data["tensors"]}
        logits = np.array(data["embeddings" if "embeddings" in data else "logits"], np.float32)
        return cls(
            data["name"],
            metadata,
            tensors,
            data["seed"],
            data["tokens"],
            data["positions"],
            logits,
            data.get("mode", "decode"),
        )

    def write(self, path: str | Path) -> None:
        """Its JSON file: a tensor's shape with the columns first, as in GGUF."""
        result = "embeddings" if self.mode == "embed" else "logits"
        data = {
            "name": self.name,
            "seed": self.seed,
            "kv": {name: [_kind(value), value] for name, value in self.metadata.items()},
            "tensors": [[name, shape[::-1], "F32"] for name, shape in self.tensors.items()],
            "tokens": self.tokens,
            "positions": self.positions,
            result: [[float(f"{x:.9g}") for x in row] for row in self.logits.tolist()],
            "mode": self.mode,
        }
        Path(path).write_text(json.dumps(data, separators=(",", ":")) + "\n")

    def weights(self) -> dict[str, Floats]:
        """All tensors, computed."""
        return {name: fill(name, shape, self.seed) for name, shape in self.tensors.items()}

    def model(
        self,
        device: str | Backend = "numpy",
        *,
        kv_type: str = "f32",
        model: type[Decoder] | None = None,
    ) -> Model:
        """The model on a device; `model` is an architecture of your own."""
        backend = get_backend(device)
        return build(self.metadata, self.weights(), backend, kv_type=kv_type, model=model)


def _kind(value: Any) -> str:
    """The name of the type that a GGUF file would give a value."""
    return getattr(infer(value), "name", "ARRAY")


# what RWKV's names say, and the mean and deviation of numbers that live in a narrow range
NARROW = (
    ("_lerp_", 0.5, 0.25),
    ("_decay.", -3.0, 1.0),
    ("_w0.", -3.0, 1.0),
    ("_ln.weight", 1.0, 0.1),
    ("_ln.bias", 0.0, 0.1),
    ("_k_k.", 0.85, 0.1),
    ("_k_a.", 1.0, 0.1),
)


def fill(name: str, shape: tuple[int, ...], seed: int) -> Floats:
    """The weights of a tensor: nearly normal numbers, scaled by what its name says it is."""
    g = normal(math.prod(shape), (zlib.crc32(name.encode()) << 16) ^ seed)
    leaf = name.rsplit("blk.", 1)[-1]
    narrow = [rule for part, *rule in NARROW if part in leaf and "_mix_" in leaf]
    if "ssm_a" in leaf:
        values = -0.1 - np.abs(g)  # how fast states fade
    elif narrow:
        mean, deviation = narrow[0]
        values = mean + deviation * g
    elif "rope_freqs" in leaf or "rope_factors" in leaf:
        values = 1 + 0.5 * np.abs(g)
    elif leaf.endswith(".bias") or "exp_probs_b" in leaf:
        values = 0.1 * g
    elif "norm" in leaf or "scale" in leaf:
        values = 1 + 0.1 * g
    elif len(shape) == 1:
        values = 0.5 * g
    elif name.startswith(("token_embd", "per_layer_token_embd")) or "position_embd" in name:
        values = g
    elif name.startswith(("enc.blk.", "dec.blk.")) and "attn_q." in leaf:
        values = g * (0.15 / math.sqrt(shape[-1]))  # T5 does not scale scores by a head's size
    else:
        values = g * (1.5 / math.sqrt(shape[-1]))
    return values.astype(np.float32).reshape(shape)


def normal(n: int, key: int) -> NDArray[np.float64]:
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
    optional: Sequence[str] = (),
    model: type[Decoder] | None = None,
) -> Model:
    """A tiny model of an architecture, with weights made up from its own declarations.

    `metadata` are keys without the architecture's name, to add to the usual small sizes; `optional`
    are patterns of tensors that it need not have, and shall. `model` is a class of your own.
    """
    cls = model or find(architecture)
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
        "attention.sliding_window_pattern": 2,
        "attention.relative_buckets_count": 8,
        "attention.clamp_kqv": 2.0,
        "expert_count": 4,
        "expert_used_count": 2,
        "expert_feed_forward_length": 24,
        "expert_shared_count": 1,
        "expert_gating_func": 2,
        "expert_group_scale": 0.5,
        "attention.q_lora_rank": 24,
        "attention.kv_lora_rank": 32,
        "attention.key_length_mla": 40,
        "attention.value_length_mla": 8,
        "experts_per_group": 2,
        "logit_scale": 0.5,
        "xielu.alpha_n": 0.8,
        "xielu.alpha_p": 0.7,
        "xielu.beta": 0.5,
        "xielu.eps": -1e-6,
        "hrm.layers_per_stack": 1,
        "hrm.h_cycles": 1,
        "hrm.l_cycles": 2,
        "adapters.count": 2,
        "adapters.lora_rank": 4,
        "adapters.token_ids_activate": [2, 30],
        "adapters.token_ids_substitute": [7, 8],
        "use_parallel_residual": True,
        "rope.dimension_sections": [2, 1, 1, 0],
        "ssm.conv_kernel": 4,
        "ssm.inner_size": 64,
        "ssm.state_size": 16,
        "ssm.time_step_rank": 4,
        "ssm.group_count": 2,
        **cls.example,
        **(metadata or {}),
    }
    full = {f"{architecture}.{name}": value for name, value in values.items()}
    full["general.architecture"] = architecture
    config = cls.Config.read(architecture, full)
    weights = {
        d.name: fill(d.name, tuple(evaluate(s, {"V": n_vocab, **sizes}) for s in d.shape), seed)
        for d, sizes in cls.declares(config)
        if d.required or any(fnmatchcase(d.name, pattern) for pattern in optional)
    }
    return build(full, weights, get_backend(device), kv_type=kv_type, model=cls)


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
    another sequence: the logits of each token agree to this NMSE. A model that sees sequences as
    a whole is recorded with other tokens, padded, and computed beside a longer sequence.
    """
    n = len(tokens)
    if issubclass(model.decoder.Memory, WholeCache):
        few = tokens[:5]
        ways = {
            "recorded": (tokens, _recorded(model, tokens)),
            "beside a longer sequence": (tokens, _beside_longer(model, tokens)),
            "a few, recorded and padded": (few, _pieces(model, [few])),
        }
    else:
        ways = {
            "in two pieces": (tokens, _pieces(model, [tokens[: n // 2], tokens[n // 2 :]])),
            "token by token, recorded": (tokens, _pieces(model, [[token] for token in tokens])),
            "token by token, eagerly": (tokens, _eagerly(model, tokens)),
            "beside another sequence": (tokens, _beside(model, tokens, split)),
        }
    for name, (computed, got) in ways.items():
        want = results(model, computed)
        for position in range(len(computed)):
            difference = nmse(got[position], want[position])
            assert difference <= tolerance, (
                f"{type(model.decoder).__name__}, {name}: the logits of token {position} differ "
                f"from those of one forward pass by an NMSE of {difference:.1e} > {tolerance:.0e}"
            )


def results(model: Model, tokens: Sequence[int]) -> Floats:
    """What a model gives for all tokens: logits, or embeddings. An encoder beside it reads them."""
    source = tokens if isinstance(model.decoder, EncoderDecoder) else None
    output = model.forward(tokens, encoder_tokens=source, logits="all")
    return output.embeddings if isinstance(model.decoder, Encoder) else output.logits


def cache_for(model: Model, tokens: Sequence[int], **options: Any) -> Cache:
    """A cache for sequence 0, in which an encoder beside the decoder has read the tokens."""
    cache = model.cache(len(tokens), **options)
    _read(model, cache, tokens, 0)
    return cache


def _read(model: Model, cache: Cache, tokens: Sequence[int], sequence: int) -> None:
    if isinstance(model.decoder, EncoderDecoder):
        model.encode(cache, tokens, sequence)


def _recorded(model: Model, tokens: Sequence[int]) -> Floats:
    """With other tokens; then these are filled in and replayed."""
    cache = model.cache(len(tokens), n_batch=len(tokens))
    plan = model.plan(cache, Batch.of(list(reversed(tokens)), logits="all"))
    cache.begin(Batch.of(tokens, logits="all"))
    plan.run()
    return np.array(plan.output.numpy())


def _beside_longer(model: Model, tokens: Sequence[int]) -> Floats:
    longer = [*reversed(tokens), *tokens]
    cache = model.cache(len(longer), n_sequences=2)
    both = [Batch.of(longer, 7, logits="none"), Batch.of(tokens, 3, logits="all")]
    return model.run(cache, Batch.joined(both))


def _pieces(model: Model, pieces: Sequence[Sequence[int]]) -> Floats:
    cache = cache_for(model, [token for piece in pieces for token in piece])
    return np.concatenate([model.run(cache, Batch.of(p, logits="all")) for p in pieces])


def _eagerly(model: Model, tokens: Sequence[int]) -> Floats:
    cache = cache_for(model, tokens)
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
    _read(model, cache, tokens, 3)
    _read(model, cache, other, 7)
    rows = []
    for start in range(0, len(tokens), split):
        piece = tokens[start : start + split]
        batches = [
            Batch.of(other[start : start + split], 7, logits="none"),
            Batch.of(piece, 3, logits="all"),
        ]
        rows.append(model.run(cache, Batch.joined(batches)))
    return np.concatenate(rows)
