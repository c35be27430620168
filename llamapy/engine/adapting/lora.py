"""LoRA adapters: GGUF files of narrow matrices that are added to those of a model.

    with llamapy.load("model.gguf") as model:
        adapter = model.add_lora("pirate.gguf", scale=0.7)
        adapter.scale = 1.0
        adapter.remove()

For a matrix W [m, k] the file has A [r, k] and B [m, r], named after it with `.lora_a` and
`.lora_b`, and W becomes W + scale * alpha / r * B @ A. For the embedding of tokens [V, E] they are
[V, r] and [E, r], so that rows can be looked up.
"""

from __future__ import annotations

import difflib
import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError, LlamapyError, ShapeError, UnsupportedError
from ...gguf import GGUF, TensorInfo
from ...nn import Embedding, Leaf
from ...nn.low_rank import LowRank
from ...nn.weights import to_tensor

if TYPE_CHECKING:
    from ..model import Model

A, B = ".lora_a", ".lora_b"
ALPHA = "adapter.lora.alpha"
INVOCATION = "adapter.alora.invocation_tokens"
BY_ROW = "token_embd.weight"  # what the names of embeddings of tokens end with

_numbers = itertools.count(1)


# ---- files


@dataclass(frozen=True)
class Pair:
    """The two narrow matrices of one tensor. Those of experts have three axes."""

    name: str
    a: TensorInfo
    b: TensorInfo

    @property
    def rank(self) -> int:
        return self.b.shape[-1]

    @property
    def by_row(self) -> bool:
        """Whether it is of an embedding of tokens."""
        return self.name.endswith(BY_ROW)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor that it is made for."""
        if self.by_row:
            return (*self.a.shape[:-1], self.b.shape[-2])
        return (*self.b.shape[:-1], self.a.shape[-1])

    def check(self, shape: Sequence[int]) -> None:
        """Refuse a tensor of another shape."""
        rank = len(self.shape)
        if (1,) * (rank - len(shape)) + tuple(shape) != self.shape:
            raise ShapeError(
                f"{self.name} is {list(shape)} in this model, and the adapter was made for "
                f"{list(self.shape)}: use it with the model that it was trained with"
            )

    def factor(self, alpha: float, scale: float) -> float:
        """What the product is multiplied with: without an alpha, what the user says alone."""
        if not alpha:
            return scale
        return float(np.float32(scale) * np.float32(alpha) / np.float32(self.rank))


class Lora(Mapping[str, Pair]):
    """An adapter as its file has it: pairs by the names of the model's tensors.

    `skip` are patterns of tensors to leave out, such as `("*_norm.weight",)`.
    """

    def __init__(self, file: GGUF, *, skip: Sequence[str] = ()) -> None:
        self.file, self.metadata = file, file.metadata
        self._check_kind()
        self.architecture: str = self.metadata["general.architecture"]
        alpha = self.metadata.get(ALPHA, 0.0)
        if not isinstance(alpha, int | float) or not math.isfinite(alpha):
            raise FormatError(
                f"it is {alpha!r}, and a number is needed: convert the adapter again", field=ALPHA
            )
        self.alpha = float(alpha)
        tokens = self.metadata.get(INVOCATION, [])
        if np.ndim(tokens) != 1 or not all(isinstance(t, int | np.integer) for t in tokens):
            raise FormatError(f"it is {tokens!r}, and tokens are needed", field=INVOCATION)
        self.invocation_tokens = tuple(map(int, tokens))
        self._pairs = dict(_pairs(file, skip))
        if not self._pairs:
            raise FormatError("it has no tensors that add to anything", field="adapter")

    @classmethod
    def open(
        cls, path_or_bytes: str | os.PathLike[str] | bytes, *, skip: Sequence[str] = ()
    ) -> Lora:
        """Open a GGUF file, or the bytes of one."""
        file = GGUF.open(path_or_bytes)
        try:
            return cls(file, skip=skip)
        except BaseException:
            file.close()
            raise

    def _check_kind(self) -> None:
        known = self.metadata
        for key, wanted in (("general.type", "adapter"), ("adapter.type", "lora")):
            if known.get(key) != wanted:
                said = repr(known[key]) if key in known else "not said"
                raise FormatError(
                    f"it is {said}, and of a LoRA adapter {wanted!r}: is it another kind of file?",
                    field=key,
                )
        if not isinstance(known.get("general.architecture"), str):
            raise FormatError(
                "the adapter does not say for which architecture it is: convert it again",
                field="general.architecture",
            )

    def check_use(self, architecture: object) -> None:
        """Refuse a model of another architecture, and what only counts after certain tokens."""
        if architecture != self.architecture:
            raise UnsupportedError(
                f"this adapter is for the architecture {self.architecture!r}, and the model is "
                f"{architecture!r}: use it with the model that it was trained with"
            )
        if self.invocation_tokens:
            raise UnsupportedError(
                f"this is an activated adapter (aLoRA): it counts only from its invocation tokens "
                f"{list(self.invocation_tokens)} on, and adapters here count for all tokens; use "
                f"a plain LoRA, or remove {INVOCATION} from the file to have it count for all"
            )

    @property
    def name(self) -> str:
        """What the file calls itself, or how it is called."""
        paths = self.file.paths
        return str(self.metadata.get("general.name") or (paths[0].name if paths else "unnamed"))

    @property
    def ranks(self) -> tuple[int, ...]:
        """All ranks that occur."""
        return tuple(sorted({pair.rank for pair in self.values()}))

    @property
    def n_values(self) -> int:
        """How many weights it has."""
        return sum(pair.a.n_values + pair.b.n_values for pair in self.values())

    def close(self) -> None:
        """Let the file go."""
        self.file.close()

    def __enter__(self) -> Lora:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getitem__(self, name: str) -> Pair:
        return self._pairs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return (
            f"<Lora {self.name!r} for {self.architecture}: {len(self)} matrices of rank "
            f"{', '.join(map(str, self.ranks))}, alpha {self.alpha:g}>"
        )


def _pairs(file: GGUF, skip: Sequence[str]) -> Iterator[tuple[str, Pair]]:
    for name in file:
        if any(fnmatchcase(name, pattern) for pattern in skip):
            continue
        stem, ending = name[: -len(A)], name[-len(A) :]
        if ending not in (A, B):
            known = "a norm that was trained, which llama.cpp leaves out" if "norm" in name else ""
            raise UnsupportedError(
                f"{name} is {known or f'neither {A} nor {B} of a tensor'}: to use the adapter "
                f"without it, open it with Lora.open(path, skip=({name!r},))"
            )
        other = stem + (B if ending == A else A)
        if other not in file:
            raise FormatError(
                f"{other} is not there, and the one is nothing without the other: convert the "
                f"adapter again",
                field=name,
            )
        if ending == A:
            pair = Pair(stem, file[name], file[other])
            _check_pair(pair)
            yield stem, pair


def _check_pair(pair: Pair) -> None:
    """Refuse two matrices that cannot be multiplied."""
    a, b = pair.a.shape, pair.b.shape
    narrow = a[-1] if pair.by_row else a[-2] if len(a) > 1 else 1
    fits = len(a) == len(b) and len(a) in (2, 3) and a[:-2] == b[:-2] and narrow == b[-1]
    if not fits or 0 in (*a, *b):
        wanted = "[V, r] and [E, r]" if pair.by_row else "[r, k] and [m, r]"
        raise FormatError(
            f"its matrices are {list(a)} and {list(b)}, and should be {wanted}: convert the "
            f"adapter again",
            field=pair.name,
        )


# ---- what is added to a model


class Adapter:
    """An adapter that is added to a model."""

    def __init__(self, model: Model, lora: Lora, scale: float) -> None:
        self.name, self.ranks, self.alpha = lora.name, lora.ranks, lora.alpha
        self.number = next(_numbers)  # what tells plans with this adapter from those without
        self._model: Model | None = model
        self._scale = _finite(scale)
        self._additions = list(_additions(model, lora, scale))

    @property
    def scale(self) -> float:
        """How much it counts; with 0, the model computes as if it were not there."""
        return self._scale

    @scale.setter
    def scale(self, scale: float) -> None:
        model = self._there()
        self._scale = _finite(scale)
        for pair, _, addition in self._additions:
            addition.set_scale(pair.factor(self.alpha, scale))
        attach(model)

    def remove(self) -> None:
        """Take it out of the model, which computes as before."""
        model = self._there()
        model.adapters.remove(self)
        attach(model)
        self._model = None
        self._additions.clear()

    def additions(self) -> Iterator[tuple[Leaf, LowRank]]:
        """What it adds to which blocks of weights."""
        return ((leaf, addition) for _, leaf, addition in self._additions)

    def _there(self) -> Model:
        if self._model is None:
            raise LlamapyError(f"the adapter {self.name!r} was removed: add it again")
        return self._model

    def __repr__(self) -> str:
        where = f"scale {self.scale:g}" if self._model else "removed"
        return f"<Adapter {self.name!r}, {where}>"


def add_lora(model: Model, source: str | os.PathLike[str] | bytes | Lora, scale: float) -> Adapter:
    """Add an adapter to a model; if it does not fit, nothing is changed."""
    lora = source if isinstance(source, Lora) else Lora.open(source)
    try:
        lora.check_use(model.metadata.get("general.architecture"))
        adapter = Adapter(model, lora, scale)
    finally:
        if lora is not source:
            lora.close()
    model.adapters.append(adapter)
    attach(model)
    return adapter


def attach(model: Model) -> None:
    """Tell all blocks of weights what is added to them, in the order of the adapters."""
    for leaves in _leaves(model).values():
        for leaf in leaves:
            leaf.additions = ()
    for adapter in model.adapters:
        if adapter.scale:
            for leaf, addition in adapter.additions():
                leaf.additions = (*leaf.additions, addition)


def _additions(model: Model, lora: Lora, scale: float) -> Iterator[tuple[Pair, Leaf, LowRank]]:
    known = _leaves(model)
    for name, pair in lora.items():
        if name not in known:
            raise UnsupportedError(_unknown(model, name, known))
        for leaf in known[name]:
            if leaf.adaptable is None:
                raise UnsupportedError(
                    f"{name} is a {type(leaf).__name__} in this model, to which nothing can be "
                    f"added: merge the adapter into the file (llamapy lora merge)"
                )
            pair.check(leaf.weight.shape)  # type: ignore[attr-defined]
            into, out = _narrow(pair, isinstance(leaf, Embedding))
            addition = leaf.adaptable(
                to_tensor(f"{name}{A}", into, model.backend, len(pair.shape)),
                to_tensor(f"{name}{B}", out, model.backend, len(pair.shape)),
                pair.factor(lora.alpha, scale),
            )
            yield pair, leaf, addition


def _narrow(pair: Pair, by_row: bool) -> tuple[Any, Any]:
    """The matrices into the narrow space and out of it, for a use by row or as a projection.

    One matrix may have both uses, as tied embeddings do; the file has it for one of them.
    """
    if by_row is pair.by_row:
        return pair.a, pair.b
    return (pair.b, _turned(pair.a)) if by_row else (_turned(pair.b), pair.a)


def _turned(tensor: TensorInfo) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.numpy().swapaxes(-1, -2), np.float32)


def _leaves(model: Model) -> dict[str, list[Leaf]]:
    """The blocks that compute with each tensor: of one that is used in two ways, both."""
    found: dict[str, list[Leaf]] = {}
    for part in model.decoder.blocks():
        for leaf in part.leaves():
            weight = getattr(leaf, "weight", None)
            if weight is not None and leaf not in found.setdefault(weight.name, []):
                found[weight.name].append(leaf)
    return found


def _unknown(model: Model, name: str, known: Mapping[str, Any]) -> str:
    if name in model.decoder.weights():
        return (
            f"{name} is no matrix that anything can be added to while computing: merge the adapter "
            f"into the file (llamapy lora merge)"
        )
    near = difflib.get_close_matches(name, known, 3)
    has = f"it has {', '.join(near)}" if near else "nor any with a similar name"
    return (
        f"the adapter changes {name}, and the model does not have it ({has}): use the adapter "
        f"with the model that it was trained with"
    )


def _finite(scale: float) -> float:
    if not math.isfinite(scale):
        raise UnsupportedError(f"the scale of an adapter is {scale}: pass a finite number")
    return float(scale)
