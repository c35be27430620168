"""A file in a few figures: what `info` prints and a notebook shows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError
from .types import AnyType, ArrayType, ValueType

if TYPE_CHECKING:
    from .metadata import Metadata
    from .reader import GGUF
    from .tensor import TensorInfo

_LAYER = re.compile(r"((?:\w+\.)*?blk\.\d+)\.")


@dataclass(frozen=True)
class TypeShare:
    """The tensors that one block format holds."""

    name: str
    n_tensors: int
    n_values: int
    n_bytes: int
    bits_per_weight: float
    share: float
    """of the bytes of all tensors"""


@dataclass(frozen=True)
class Summary:
    """What a file is and how large."""

    architecture: str | None
    name: str | None
    n_tensors: int
    n_values: int
    n_bytes: int
    file_bytes: int
    types: tuple[TypeShare, ...]

    @property
    def bits_per_weight(self) -> float | None:
        """Bits that one weight takes on average; None without weights."""
        return self.n_bytes * 8 / self.n_values if self.n_values else None


def summarize(file: GGUF) -> Summary:
    """Add up a file's tensors; nothing of their data is read."""
    tensors = list(file.values())
    n_bytes = sum(tensor.n_bytes for tensor in tensors)
    return Summary(
        architecture=text(file, "general.architecture"),
        name=text(file, "general.name"),
        n_tensors=len(tensors),
        n_values=sum(tensor.n_values for tensor in tensors),
        n_bytes=n_bytes,
        file_bytes=file.size,
        types=_types(tensors, n_bytes),
    )


def text(file: GGUF, key: str) -> str | None:
    """A key's value if it is a string: a file may hold anything under any name."""
    if key not in file.metadata or file.metadata.type(key) is not ValueType.STRING:
        return None
    value: str = file.metadata[key]
    return value


def type_name(kind: AnyType) -> str:
    """A metadata type as people write it: `uint32`, `string[]`."""
    if isinstance(kind, ArrayType):
        return f"{type_name(kind.element)}[]"
    return kind.name.lower()


def shown(metadata: Metadata, key: str) -> str:
    """A metadata value on one short line, even one that cannot be decoded."""
    try:
        value = metadata[key]
    except FormatError as error:
        return visible(f"unreadable: {error}")
    if metadata.type(key) is ValueType.FLOAT32:
        value = np.float32(value)  # 1e-05 rather than the double nearest to it
    try:
        return shorten(value)
    except FormatError:
        return f"{len(value)} strings that are not all UTF-8"


def by_layer(file: GGUF) -> dict[str, list[TensorInfo]]:
    """The tensors grouped by their layer, as `blk.3`, in the order of the file; "" is outside."""
    groups: dict[str, list[TensorInfo]] = {}
    for tensor in file.values():
        found = _LAYER.match(tensor.name)
        groups.setdefault(found[1] if found else "", []).append(tensor)
    return groups


def shorten(value: Any, limit: int = 120) -> str:
    """A value on one short line; an array shows its first elements and its length."""
    if isinstance(value, str):
        return _cut(value, limit)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | float | np.generic):
        return str(value)
    inside = ", ".join(shorten(value[i], 24) for i in range(min(4, len(value))))
    more = ", …" if len(value) > 4 else ""
    return f"[{inside}{more}] ({len(value):,})"


def _cut(text: str, limit: int) -> str:
    """The text with its control characters written out, as far as it fits."""
    shown = ""
    for place, char in enumerate(text):
        spelled = visible(char)
        is_last = place == len(text) - 1
        if len(shown) + len(spelled) > limit - (not is_last):
            return f"{shown}…"
        shown += spelled
    return shown


def visible(text: str) -> str:
    """Text with control characters written out, so that a file cannot steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as people write it, rows first."""
    return " x ".join(map(str, shape)) or "one value"


def size(n_bytes: int) -> str:
    """A number of bytes for people, in powers of 1024."""
    if n_bytes < 1024:
        return f"{n_bytes} B"
    exponent = min((n_bytes.bit_length() - 1) // 10, 5)
    return f"{n_bytes / 1024**exponent:.2f} {'KMGTP'[exponent - 1]}iB"


def _types(tensors: Iterable[TensorInfo], all_bytes: int) -> tuple[TypeShare, ...]:
    groups: dict[str, list[TensorInfo]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.quant.name, []).append(tensor)
    shares = [
        TypeShare(
            name=name,
            n_tensors=len(group),
            n_values=sum(tensor.n_values for tensor in group),
            n_bytes=(n_bytes := sum(tensor.n_bytes for tensor in group)),
            bits_per_weight=group[0].quant.bits_per_weight(),
            share=n_bytes / all_bytes if all_bytes else 0.0,
        )
        for name, group in groups.items()
    ]
    return tuple(sorted(shares, key=lambda share: (-share.n_bytes, share.name)))
