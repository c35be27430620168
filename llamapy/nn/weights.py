"""Binding: a dataclass of weights is filled from a file, and a field's name is a tensor's name.

    @block
    class Layer(Block):
        attn_norm: RMSNorm = w("E")               # blk.3.attn_norm.weight
        attn: SplitQKV | FusedQKV = group()       # the first whose tensors are there
        attn_q_norm: RMSNorm | None = w("D")      # absent where the file has none
        ffn: SwiGLU = group()                     # blk.3.ffn_gate.weight ...: the same prefix

The type of a field is the kind of block. Shapes are written in the model's letters and checked, and
what was asked for must be all that the file has: what is left over would be silently ignored.
"""

from __future__ import annotations

import difflib
import functools
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any, TypeVar, dataclass_transform

import numpy as np

from ..backends.several import of_tensor
from ..errors import FormatError, ShapeError, UnsupportedError
from ..gguf.tensor import TensorInfo
from ..ops._signature import evaluate
from ..tensor import Tensor
from .low_rank import LowRank

if typing.TYPE_CHECKING:
    from ..backends import Backend

T = TypeVar("T")


def w(shape: str, *, name: str = "") -> Any:
    """A weight, or a leaf such as a norm, of this shape in letters; `name` if it is irregular."""
    return field(metadata={"shape": tuple(part.strip() for part in shape.split(",")), "name": name})


def group() -> Any:
    """Several weights under one name in the code; in the file they sit beside the others."""
    return field(metadata={})


@dataclass_transform(field_specifiers=(w, group), eq_default=False)
def block(cls: type[T]) -> type[T]:
    """Make a dataclass of a class of weights: equality is identity, and `repr` a table."""
    return dataclass(eq=False, repr=False)(cls)


class Block:
    """Weights that belong together, and what is computed with them.

    The binder tells each block its name and the Config of its layer.
    """

    name = ""
    config: Any = None

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """All tensors with their paths in this block."""
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if isinstance(value, Tensor):
                yield f.name, value
            elif isinstance(value, Block):
                yield from ((f"{f.name}.{path}", tensor) for path, tensor in value.weights())

    def leaves(self) -> Iterator[Leaf]:
        """All leaves in this block, and itself if it is one."""
        if isinstance(self, Leaf):
            yield self
        for f in fields(self):  # type: ignore[arg-type]
            if isinstance(value := getattr(self, f.name), Block):
                yield from value.leaves()

    def __repr__(self) -> str:
        lines = [f"  {path}: {str(tensor).split(' ', 1)[1]}" for path, tensor in self.weights()]
        return "\n".join((type(self).__name__, *lines))


class Leaf(Block):
    """A block whose fields are the endings of tensor names: weight, bias, scale."""

    # what adapters add to what the weight gives, and the kind of it, if there can be any
    additions: Sequence[LowRank] = ()
    adaptable: type[LowRank] | None = None

    @classmethod
    def endings(cls, shape: Sequence[str]) -> dict[str, Sequence[str]]:
        """The shape of each ending, from the declared shape of the weight."""
        return {"weight": shape, "bias": shape[:-1], "scale": ("1",)}

    @classmethod
    def tensor_name(cls, path: str, ending: str) -> str:
        """How the file calls one of them."""
        return f"{path}.{ending}"

    def bare_weight(self) -> Tensor | None:
        """The weight, if there is nothing else to this block: what fused kernels take."""
        endings = [tensor for _, tensor in self.weights()]
        return endings[0] if len(endings) == 1 and not self.additions else None


@block
class _OneTensor(Leaf):
    """A field whose type is Tensor."""

    weight: Tensor


# ---- what a file has


class Names:
    """The tensors of a file, and which of them somebody asked for."""

    def __init__(
        self,
        tensors: Mapping[str, Any],
        backend: Backend,
        *,
        loaded: Callable[[Any], None] = lambda tensor: None,
    ) -> None:
        self.tensors, self.backend, self._loaded = tensors, backend, loaded
        self.used: set[str] = set()

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def take(self, name: str, shape: Sequence[str], sizes: dict[str, int], owner: str) -> Tensor:
        """The tensor of this name on the backend, if its shape is the one declared."""
        if name not in self.tensors:
            near = difflib.get_close_matches(name, self.tensors, 3)
            has = f"it has {', '.join(near)}" if near else "nor any with a similar name"
            raise FormatError(
                f"{owner} needs this tensor, and the file does not have it ({has}): "
                f"the file is incomplete, or of another architecture",
                field=name,
            )
        value = self.tensors[name]
        _check_shape(name, tuple(value.shape), shape, sizes, owner)
        self.used.add(name)
        backend = of_tensor(self.backend, name, len(value.shape))
        tensor = to_tensor(name, value, backend, len(shape))
        self._loaded(value)
        return tensor

    def check_all_used(self, owner: str, ignores: Sequence[str] = ()) -> None:
        """Refuse a file that has more than the model asked for."""
        unused = [
            name
            for name in self.tensors
            if name not in self.used and not any(fnmatchcase(name, p) for p in ignores)
        ]
        if unused:
            more = f" and {len(unused) - 4} more" if len(unused) > 4 else ""
            raise UnsupportedError(
                f"{owner} has no use for {', '.join(unused[:4])}{more}: computing without them "
                f"would be another model; declare them in the architecture, or in its `ignores`"
            )


def to_tensor(name: str, value: Any, backend: Backend, rank: int) -> Tensor:
    """A tensor of a file, or an array, with sizes of 1 in front that the file does not write."""
    shape = (1,) * (rank - len(value.shape)) + tuple(value.shape)
    if not isinstance(value, TensorInfo):
        return Tensor.of(np.reshape(value, shape), backend, name=name)
    # vectors are small, and operations take them as float32
    if value.quant.name in ("F32", "F64", "I8", "I16", "I32", "I64") or len(value.shape) < 2:
        return Tensor.of(value.numpy().reshape(shape), backend, name=name)
    raw = value.encoded().reshape(*shape[:-1], -1)
    return Tensor.packed(raw, shape, value.quant, backend, name)


def _check_shape(
    name: str, found: tuple[int, ...], shape: Sequence[str], sizes: dict[str, int], owner: str
) -> None:
    """Compare with the declared shape; a letter that nobody knows yet takes its size from here.

    A file need not write sizes of 1 in front.
    """
    found = (1,) * (len(shape) - len(found)) + found
    fits = len(found) == len(shape)
    if fits:
        for part, size in zip(shape, found, strict=True):
            if part.isidentifier():
                sizes.setdefault(part, size)
            try:
                fits &= evaluate(part, sizes) == size
            except KeyError as missing:
                raise ShapeError(
                    f"{owner}: {name} is {', '.join(shape)}, and {missing} has no size yet: "
                    f"declare a weight that has it alone first, or add it to the Config"
                ) from None
    if not fits:
        known = {part: sizes[part] for part in sorted(sizes) if part in " ".join(shape)}
        said = ", ".join(f"{letter} = {size}" for letter, size in known.items())
        raise ShapeError(
            f"{name} is {list(found)} in this file, but {owner} wants [{', '.join(shape)}]"
            f"{f' with {said}' if said else ''}: its metadata and its tensors do not agree"
        )


# ---- binding


def bind(cls: Any, names: Names, config: Any, prefix: str = "") -> Any:
    """An object of a class of weights, filled from the tensors that begin with `prefix`."""
    return _bind_group(cls, names, config, prefix, "", dict(config.sizes))


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    """The types of a class's fields, which Python takes long to find."""
    return typing.get_type_hints(cls)


def _bind_group(
    cls: Any, names: Names, config: Any, prefix: str, name: str, sizes: dict[str, int]
) -> Any:
    hints = _hints(cls)
    values = {
        f.name: _bind_field(f, hints[f.name], names, config, prefix, sizes, cls.__qualname__)
        for f in fields(cls)
    }
    return _told(cls(**values), name, config)


def _bind_field(
    f: Any, hint: Any, names: Names, config: Any, prefix: str, sizes: dict[str, int], owner: str
) -> Any:
    cls = _choose(hint, f, names, prefix)
    if cls is None:
        return None
    owner = f"{owner}.{f.name}"
    if "shape" not in f.metadata:
        return _bind_group(cls, names, config, prefix, f.name, sizes)
    path = prefix + (f.metadata["name"] or f.name)
    leaf = _OneTensor if cls is Tensor else cls
    shapes = leaf.endings(f.metadata["shape"])
    values = {}
    for ending, required in _endings(leaf):
        name = leaf.tensor_name(path, ending)
        if required or name in names:
            values[ending] = names.take(name, shapes[ending], sizes, owner)
    return values["weight"] if cls is Tensor else _told(leaf(**values), f.name, config)


def _told(made: Any, name: str, config: Any) -> Any:
    made.name, made.config = name, config
    return made


def _choose(hint: Any, f: Any, names: Names, prefix: str) -> Any:
    """The type that the file has: the first alternative whose tensors are there."""
    alternatives = _alternatives(hint)
    for cls in alternatives:
        if cls is not types.NoneType and _is_there(cls, f, names, prefix):
            return cls
    # nothing fits: the first alternative will say what it misses
    return None if types.NoneType in alternatives else alternatives[0]


def _is_there(cls: Any, f: Any, names: Names, prefix: str) -> bool:
    if "shape" in f.metadata:
        path = prefix + (f.metadata["name"] or f.name)
        leaf = _OneTensor if cls is Tensor else cls
        return all(leaf.tensor_name(path, e) in names for e, must in _endings(leaf) if must)
    hints = _hints(cls)
    return all(
        types.NoneType in _alternatives(hints[g.name])
        or any(_is_there(kind, g, names, prefix) for kind in _alternatives(hints[g.name]))
        for g in fields(cls)
    )


def _alternatives(hint: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def _endings(leaf: Any) -> Iterator[tuple[str, bool]]:
    """The fields of a leaf, and whether each must be there."""
    hints = _hints(leaf)
    for f in fields(leaf):
        yield f.name, types.NoneType not in _alternatives(hints[f.name])


@dataclass(frozen=True)
class Declared:
    """A tensor that an architecture may have: its name, its shape in letters, and if it must."""

    name: str
    shape: tuple[str, ...]
    required: bool


def declared(cls: Any, prefix: str = "", required: bool = True) -> Iterator[Declared]:
    """All tensors that a class of weights declares; of a union, those of its first alternative."""
    hints = _hints(cls)
    for f in fields(cls):
        alternatives = _alternatives(hints[f.name])
        must = required and types.NoneType not in alternatives
        kind = alternatives[0]
        if "shape" not in f.metadata:
            yield from declared(kind, prefix, must)
            continue
        leaf = _OneTensor if kind is Tensor else kind
        shapes = leaf.endings(f.metadata["shape"])
        path = prefix + (f.metadata["name"] or f.name)
        for ending, ending_must in _endings(leaf):
            name = leaf.tensor_name(path, ending)
            yield Declared(name, tuple(shapes[ending]), must and ending_must)
