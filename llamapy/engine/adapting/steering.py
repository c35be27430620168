"""Control vectors: directions that are added to what layers give, so that a model leans somewhere.

    vector = steering.from_prompts(model, ["I am happy."], ["I am sad."])
    vector.save("happy.gguf")
    handle = model.steer(vector, scale=2.0, layers=range(4, 12))
    handle.remove()

A direction is a vector for one layer (Zou et al., "Representation Engineering", 2023). The files
are llama.cpp's.
"""

from __future__ import annotations

import math
import os
import re
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ... import gguf, ops
from ...errors import FormatError, LlamapyError, ShapeError, UnsupportedError
from ...gguf import GGUF, ValueType, typed
from ...models import Encoder
from ...ops.see import Edit
from ...tensor import Tensor

if TYPE_CHECKING:
    from ..model import Model

Floats = NDArray[np.float32]
Prompt: TypeAlias = str | Sequence[int]
ARCHITECTURE = "controlvector"
DIRECTION = re.compile(r"direction\.(\d+)")
SMALLEST = 1e-6  # a token whose states differ by less says nothing


class ControlVector(Mapping[int, Floats]):
    """Directions [E] by the number of the layer to whose output they are added, from 1 on.

    Layer 0 has none, as in llama.cpp.
    """

    def __init__(self, directions: Mapping[int, Any], *, model_hint: str = "") -> None:
        self._directions = {
            layer: np.array(directions[layer], np.float32) for layer in sorted(directions)
        }
        self.model_hint = model_hint
        shapes = {values.shape for values in self.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise ShapeError(
                f"directions have the shapes {sorted(shapes)}: pass at least one, and vectors of "
                f"one size"
            )
        for layer, values in self.items():
            if layer < 1:
                raise UnsupportedError(
                    f"there is a direction for layer {layer}: layers that are steered count from 1"
                )
            if not np.isfinite(values).all():
                raise UnsupportedError(f"direction {layer} has values that are not finite")

    @property
    def n_embd(self) -> int:
        """How many values a direction has."""
        return next(iter(self.values())).size

    @classmethod
    def open(cls, path_or_bytes: str | os.PathLike[str] | bytes) -> ControlVector:
        """Read a GGUF file, or the bytes of one."""
        with GGUF.open(path_or_bytes) as file:
            kind = file.metadata.get("general.architecture")
            if kind != ARCHITECTURE:
                raise FormatError(
                    f"it is {kind!r}, and of a control vector {ARCHITECTURE!r}: is this another "
                    f"kind of file?",
                    field="general.architecture",
                )
            directions = {}
            for name, tensor in file.items():
                found = DIRECTION.fullmatch(name)
                if found is None or not int(found[1]):
                    raise FormatError(
                        f"a control vector has tensors direction.1, direction.2 ..., and this is "
                        f"{name}: make it again",
                        field=name,
                    )
                directions[int(found[1])] = tensor.numpy()
            hint = file.metadata.get(f"{ARCHITECTURE}.model_hint", "")
            return cls(directions, model_hint=hint)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a GGUF file that llama.cpp reads, too."""
        metadata = {
            "general.architecture": ARCHITECTURE,
            f"{ARCHITECTURE}.model_hint": self.model_hint,
            f"{ARCHITECTURE}.layer_count": typed(ValueType.INT32, len(self)),
        }
        gguf.write(path, metadata, {f"direction.{i}": values for i, values in self.items()})

    def __getitem__(self, layer: int) -> Floats:
        return self._directions[layer]

    def __iter__(self) -> Any:
        return iter(self._directions)

    def __len__(self) -> int:
        return len(self._directions)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        first, last = min(self), max(self)
        return f"<ControlVector of {self.n_embd} values, {len(self)} layers: {first} to {last}>"


# ---- what a model is steered by


class Steer:
    """A control vector that steers a model."""

    def __init__(
        self, steering: Steering, vector: ControlVector, scale: float, layers: frozenset[int]
    ) -> None:
        self.vector, self.layers = vector, layers
        self._scale, self._steering = _finite(scale), steering
        self._there = True

    @property
    def scale(self) -> float:
        """How much is added; with 0, nothing at all."""
        return self._scale

    @scale.setter
    def scale(self, scale: float) -> None:
        self._check()
        self._scale = _finite(scale)
        self._steering.update()

    def remove(self) -> None:
        """Steer no more: the model computes as before."""
        self._check()
        self._there = False
        self._steering.handles.remove(self)
        self._steering.update()

    def _check(self) -> None:
        if not self._there:
            raise LlamapyError("this control vector was removed: steer with it again")

    def __repr__(self) -> str:
        state = f"scale {self.scale:g}" if self._there else "removed"
        return f"<Steer: {self.vector!r}, {state}>"


class Steering:
    """All that steers a model: one vector for each layer, the sum of what there is.

    The vectors lie in buffers of their own, so that recorded plans go on when scales change.
    """

    def __init__(self, model: Model) -> None:
        self._model: Model = weakref.proxy(model)  # which has this, and shall not wait for gc
        self.handles: list[Steer] = []
        self.layers: tuple[int, ...] = ()  # those that are steered
        self.edits: dict[str, Edit] = {}
        self._sums: dict[int, Tensor] = {}

    def add(
        self,
        vector: str | os.PathLike[str] | bytes | ControlVector,
        scale: float,
        layers: Iterable[int] | None,
    ) -> Steer:
        """Steer by one more vector."""
        if not isinstance(vector, ControlVector):
            vector = ControlVector.open(vector)
        decoder, n_embd = self._model.decoder, self._model.config.n_embd
        n_layer = len(decoder.layers)
        if vector.n_embd != n_embd:
            raise ShapeError(
                f"the control vector has {vector.n_embd} values, and this model's states have "
                f"{n_embd}: it was made for another model"
            )
        if max(vector) >= n_layer:
            raise UnsupportedError(
                f"the control vector steers layer {max(vector)}, and this model's last layer is "
                f"{n_layer - 1}: it was made for another model"
            )
        chosen = frozenset(vector if layers is None else layers)
        if not chosen & set(vector):
            raise UnsupportedError(
                f"the control vector has directions for layers {min(vector)} to {max(vector)}, "
                f"and none for {sorted(chosen)}: name others"
            )
        handle = Steer(self, vector, scale, chosen)
        self.handles.append(handle)
        self.update()
        return handle

    def update(self) -> None:
        """Add up what there is for each layer."""
        sums: dict[int, Floats] = {}
        for handle in self.handles:
            for layer in handle.layers & set(handle.vector) if handle.scale else ():
                part = handle.vector[layer] * np.float32(handle.scale)
                sums[layer] = sums[layer] + part if layer in sums else part
        for layer, total in sums.items():
            if layer not in self._sums:
                self._sums[layer] = Tensor.of(total, self._model.backend, name=f"direction.{layer}")
            tensor = self._sums[layer]
            tensor.backend.write(tensor.buffer, total)
        self.layers = tuple(sorted(sums))
        self.edits = {
            f"{part}blk.{layer}.l_out": _adding(self._sums[layer])
            for layer in self.layers
            for part in ("", "enc.")
        }


def _adding(vector: Tensor) -> Edit:
    return lambda x: ops.add_bias(x, vector)


# ---- making them


def from_prompts(
    model: Model,
    positive: Sequence[Prompt],
    negative: Sequence[Prompt],
    *,
    method: Literal["mean", "pca"] = "mean",
) -> ControlVector:
    """Directions from the negative prompts to the positive ones, pair by pair; each of length 1.

    The shorter prompt of a pair is filled up with spaces, and all tokens' states are compared.
    "mean" is the mean difference, "pca" the line along which differences are largest, pointing
    where they do. Direction N is made of what layer N - 1 gives, as llama.cpp makes it.
    """
    if method not in ("mean", "pca"):
        raise UnsupportedError(f"method is {method!r}: choose 'mean' or 'pca'")
    if len(positive) != len(negative) or not positive:
        raise ShapeError(
            f"there are {len(positive)} positive and {len(negative)} negative prompts: pass pairs"
        )
    decoder = model.decoder
    if isinstance(decoder, Encoder) or len(decoder.layers) < 2:
        raise UnsupportedError(f"{type(decoder).__name__} has no layers that can be steered")
    pairs = [_pair(model, *texts) for texts in zip(positive, negative, strict=True)]
    found = [_differences(model, *pair) for pair in pairs]
    direct = {"mean": _mean, "pca": _principal}[method]
    return ControlVector(
        {
            layer: direct(np.concatenate([rows[layer] for rows in found]), layer)
            for layer in range(1, len(decoder.layers))
        },
        model_hint=str(model.metadata.get("general.architecture", "")),
    )


def _pair(model: Model, positive: Prompt, negative: Prompt) -> tuple[list[int], list[int]]:
    """The tokens of both, of one length."""
    sides = [
        model.tokenizer.encode(side, special=True) if isinstance(side, str) else list(side)
        for side in (positive, negative)
    ]
    if len(sides[0]) != len(sides[1]):
        space = model.tokenizer.encode(" ", bos=False)[-1:]
        longest = max(map(len, sides))
        sides = [side + space * (longest - len(side)) for side in sides]
    return sides[0], sides[1]


def _differences(model: Model, positive: list[int], negative: list[int]) -> dict[int, Floats]:
    """For each layer from 1 on, how the states before it differ: rows [tokens, E] that do."""
    layers = range(1, len(model.decoder.layers))
    up = model.forward(positive, logits="none", hidden=layers).hidden
    down = model.forward(negative, logits="none", hidden=layers).hidden
    rows = {layer: up[layer] - down[layer] for layer in layers}
    return {layer: d[(np.abs(d) > SMALLEST).any(-1)] for layer, d in rows.items()}


def _mean(rows: Floats, layer: int) -> Floats:
    return _unit(rows.sum(0), layer)


def _principal(rows: Floats, layer: int) -> Floats:
    """The first right singular vector: not centred, as llama.cpp's is not."""
    if not len(rows):
        return _unit(np.zeros(rows.shape[1], np.float32), layer)
    direction = np.linalg.svd(rows.astype(np.float64), full_matrices=False)[2][0]
    # a line has two ends: the one that the differences point to
    return _unit(direction * (1 if (rows @ direction).sum() >= 0 else -1), layer)


def _unit(direction: Any, layer: int) -> Floats:
    length = float(np.linalg.norm(direction))
    if not length:
        raise UnsupportedError(
            f"the prompts make no difference before layer {layer}: pass pairs that differ"
        )
    return (direction / length).astype(np.float32)


def _finite(scale: float) -> float:
    if not math.isfinite(scale):
        raise UnsupportedError(f"the scale of a control vector is {scale}: pass a finite number")
    return float(scale)
