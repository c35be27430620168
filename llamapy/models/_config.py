"""What a model reads from a file's metadata: a dataclass whose fields say their keys.

    n_head: int = layer_key("attention.head_count")            # one value, or one for each layer
    head_dim: int = key("attention.key_length", lambda c: c.n_embd // c.n_head)
    causal: bool = expect("attention.causal", True)

Keys stand below the architecture's name: `llama.attention.head_count`. A default may be computed
from the fields above it. What a model assumes, it states: a file that differs is refused, for it
would be computed wrongly.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np

from ..errors import FormatError, UnsupportedError
from ..nn.moe import router_kind

C = TypeVar("C", bound="Config")
_REQUIRED: Any = object()


def key(name: str, default: Any = _REQUIRED) -> Any:
    """A value of the whole model."""
    return field(metadata={"key": name, "default": default})


def layer_key(name: str, default: Any = _REQUIRED) -> Any:
    """A value that each layer may have its own of."""
    return field(metadata={"key": name, "default": default, "each": True})


def list_key(name: str, default: Any = _REQUIRED) -> Any:
    """Several values of the whole model."""
    return field(metadata={"key": name, "default": default, "several": True})


def expect(name: str, value: Any) -> Any:
    """A value that the architecture takes for granted, and a file may state."""
    return field(metadata={"key": name, "default": value, "expected": value})


def constant(value: Any) -> Any:
    """A value that files do not say. An architecture with a key for it overrides the field."""
    return field(metadata={"constant": value})


@dataclass(frozen=True)
class Config:
    """Hyperparameters. `sizes` are those that the shapes of weights are written in."""

    @classmethod
    def read(cls: type[C], architecture: str, metadata: Mapping[str, Any]) -> C:
        """The Config of an architecture from a file's metadata."""
        so_far = types.SimpleNamespace()
        hints = typing.get_type_hints(cls)
        for f in fields(cls):
            if "constant" in f.metadata:
                value = f.metadata["constant"]
            else:
                name = f"{architecture}.{f.metadata['key']}"
                value = _value(cls, f, hints[f.name], name, metadata, so_far)
            setattr(so_far, f.name, value)
        return cls(**vars(so_far))

    def at(self: C, layer: int) -> C:
        """The Config of one layer: values that differ between layers are those of this one."""
        own = {
            f.name: value[layer]
            for f in fields(self)
            if f.metadata.get("each") and isinstance(value := getattr(self, f.name), tuple)
        }
        return dataclasses.replace(self, **own) if own else self

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes by the letters that `w("H*D, E")` uses; values of single layers are left out."""
        return {}


def _value(
    cls: type, f: Any, hint: Any, name: str, metadata: Mapping[str, Any], so_far: Any
) -> Any:
    default = f.metadata["default"]
    if name not in metadata:
        if default is _REQUIRED:
            raise FormatError(
                f"the key is missing, and {cls.__module__.rpartition('.')[2]} has no default for "
                f"it: the file is incomplete, convert it again",
                field=name,
            )
        return default(so_far) if callable(default) else default
    value = metadata[name]
    if "expected" in f.metadata and value != f.metadata["expected"]:
        raise UnsupportedError(
            f"{name} is {value!r} in this file, and this architecture is computed with "
            f"{f.metadata['expected']!r}: it would be another model, so it is not loaded"
        )
    if f.metadata.get("several"):
        hint = typing.get_args(hint)[0]
        return tuple(_typed(item, hint, name) for item in np.ravel(value).tolist())
    if f.metadata.get("each") and not isinstance(value, (int, float, str, bool)):
        items = value.tolist() if hasattr(value, "tolist") else value  # a file gives NumPy's
        n_layer = getattr(so_far, "n_block", 0) - getattr(so_far, "n_nextn", 0)
        if len(items) < n_layer:
            raise FormatError(
                f"there are {len(items)} values for {n_layer} layers: convert the model again",
                field=name,
            )
        return tuple(_typed(item, hint, name) for item in items)
    return _typed(value, hint, name)


def _typed(value: Any, hint: Any, name: str) -> Any:
    """The value if it is of the declared type; a whole number will do for a float."""
    alternatives = typing.get_args(hint) or (hint,)
    if float in alternatives and type(value) is int:
        return float(value)
    if type(value) not in alternatives:
        wanted = " or ".join(getattr(a, "__name__", str(a)) for a in alternatives)
        raise FormatError(
            f"the value must be {wanted}, and is {value!r:.60}: convert the model again", field=name
        )
    return value


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


@dataclass(frozen=True)
class DecoderConfig(Config):
    """What every decoder has."""

    n_block: int = key("block_count")
    n_nextn: int = key("nextn_predict_layers", 0)
    n_ctx: int = key("context_length")
    n_embd: int = key("embedding_length")
    n_ff: int = layer_key("feed_forward_length")
    n_head: int = layer_key("attention.head_count")
    n_head_kv: int = layer_key("attention.head_count_kv", lambda c: c.n_head)
    head_dim: int = key("attention.key_length", lambda c: c.n_embd // _first(c.n_head))
    value_dim: int = key("attention.value_length", lambda c: c.head_dim)
    norm_eps: float = key("attention.layer_norm_rms_epsilon")
    causal: bool = expect("attention.causal", True)

    @property
    def n_layer(self) -> int:
        """The layers of a forward pass: without those behind them that guess further tokens."""
        return self.n_block - self.n_nextn

    @property
    def blocks(self) -> Sequence[int]:
        """The file's blocks in the order in which they are computed: a layer for each."""
        return range(self.n_layer)

    @property
    def sizes(self) -> dict[str, int]:
        letters = {
            "E": self.n_embd,
            "F": self.n_ff,
            "H": self.n_head,
            "K": self.n_head_kv,
            "D": self.head_dim,
            "L": self.n_layer,
        }
        return {letter: size for letter, size in letters.items() if not isinstance(size, tuple)}


@dataclass(frozen=True)
class RopeConfig(DecoderConfig):
    """A decoder that tells positions by rotation, and how that is scaled to long contexts."""

    rope_base: float = key("rope.freq_base", 10_000.0)
    rope_dim: int = key("rope.dimension_count", lambda c: c.head_dim)
    rope_scaling: str = key("rope.scaling.type", "linear")
    rope_linear: float = key("rope.scale_linear", 1.0)  # the older name of the next
    rope_factor: float = key("rope.scaling.factor", lambda c: c.rope_linear)
    rope_attn_factor: float = key("rope.scaling.attn_factor", 1.0)
    n_ctx_original: int = key("rope.scaling.original_context_length", lambda c: c.n_ctx)
    # what YaRN's paper says; an architecture that has keys for them overrides these
    yarn_log_multiplier: float = constant(0.0)
    yarn_extrapolation: float = constant(1.0)
    yarn_beta_fast: float = constant(32.0)
    yarn_beta_slow: float = constant(1.0)

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "R": self.rope_dim}


@dataclass(frozen=True)
class ExpertsConfig(DecoderConfig):
    """A decoder that may have experts. Where a file has a key that is constant here, override."""

    n_expert: int = key("expert_count", 0)
    n_expert_used: int = key("expert_used_count", 0)
    n_ff_expert: int = layer_key("expert_feed_forward_length", lambda c: c.n_ff)
    n_expert_groups: int = key("expert_group_count", 1)
    n_expert_groups_used: int = key("expert_group_used_count", 1)
    expert_gating: int = constant(1)  # a number of nn.moe.ROUTERS
    expert_norm: bool = constant(True)
    expert_scale: float = expect("expert_weights_scale", 1.0)

    def __post_init__(self) -> None:
        router_kind(self.expert_gating)
        if self.n_expert and not 1 <= self.n_expert_used <= self.n_expert:
            raise FormatError(
                f"a token cannot go to {self.n_expert_used} of {self.n_expert} experts: the file "
                f"is damaged, convert it again",
                field="expert_used_count",
            )
        groups, used = self.n_expert_groups, self.n_expert_groups_used
        if groups > 1 and (self.n_expert % groups or not 1 <= used <= groups):
            raise FormatError(
                f"{self.n_expert} experts cannot be {groups} groups of which {used} count: the "
                f"file is damaged, convert it again",
                field="expert_group_count",
            )

    @property
    def sizes(self) -> dict[str, int]:
        letters = {**super().sizes, "X": self.n_expert, "M": self.n_ff_expert}
        return {letter: size for letter, size in letters.items() if not isinstance(size, tuple)}


@dataclass(frozen=True)
class StatedExpertsConfig(ExpertsConfig):
    """What the files of later mixtures say about their routers."""

    expert_gating: int = key("expert_gating_func", 2)
    expert_norm: bool = key("expert_weights_norm", False)
    expert_scale: float = key("expert_weights_scale", 1.0)


def one_of_used(c: Any) -> Any:
    """The default of some for the size of an expert: all that a token goes to are as one block."""
    used = max(1, c.n_expert_used)
    each = isinstance(c.n_ff, tuple)
    return tuple(n // used for n in c.n_ff) if each else c.n_ff // used
