"""What differs between two files: metadata, tensors, and by how much their numbers do.

The order of keys and tensors, alignment, byte order and splits are no difference, and the keys that
tell of them are passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import threads as pool
from .digest import LAYOUT_KEYS, FileOrPath, opened, pieces
from .reader import GGUF
from .summary import shape_text, shown, type_name, visible
from .tensor import PLAIN, TensorInfo

VALUES_PER_PIECE = 1 << 20

_COLOURS = {"+": "green", "-": "red", "~": "yellow"}


@dataclass(frozen=True)
class ShownValue:
    """A metadata value as it is shown: its type, and its text on one short line."""

    type: str
    text: str

    def __str__(self) -> str:
        return f"{self.text} ({self.type})"


@dataclass(frozen=True)
class ShownTensor:
    """A tensor's type, shape and size."""

    type: str
    shape: tuple[int, ...]
    n_bytes: int

    def __str__(self) -> str:
        return f"{self.type} {shape_text(self.shape)}, {self.n_bytes:,} bytes"


@dataclass(frozen=True)
class ChangedValue:
    """A key that both files have; `where` tells the place in a long value."""

    before: ShownValue
    after: ShownValue
    where: str = ""

    def __str__(self) -> str:
        if self.before == self.after:
            return f"{self.before}, {self.where}"
        return f"{self.before} → {self.after}" + (f", {self.where}" if self.where else "")


@dataclass(frozen=True)
class ChangedTensor:
    """A tensor that both files have. The figures are of the decoded values, after against before.

    They are None where shapes differ. `nmse` is the mean squared difference over the mean square.
    """

    before: ShownTensor
    after: ShownTensor
    max_difference: float | None = None
    nmse: float | None = None

    def __str__(self) -> str:
        if self.before == self.after:
            parts = [f"{self.before}", "other bytes"]
        else:
            parts = [f"{self.before} → {self.after}"]
        if self.max_difference is not None:
            parts.append(f"largest difference {self.max_difference:.4g}, NMSE {self.nmse:.3g}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Difference:
    """What `diff` found. True if there is anything; prints as a list, in a notebook as a table."""

    metadata_added: dict[str, ShownValue]
    metadata_removed: dict[str, ShownValue]
    metadata_changed: dict[str, ChangedValue]
    tensors_added: dict[str, ShownTensor]
    tensors_removed: dict[str, ShownTensor]
    tensors_changed: dict[str, ChangedTensor]

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts and lists, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{sign} {kind} {name}: {what}" for sign, kind, name, what in self._rows()]
        return "\n".join(lines) or "no difference"

    def __rich__(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        if not self:
            return str(self)
        table = Table.grid(padding=(0, 1))
        for sign, *cells in self._rows():
            table.add_row(Text(sign, _COLOURS[sign]), *map(Text, cells))
        return table

    def _repr_html_(self) -> str:
        rows = [
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        ]
        return f"<table>{''.join(rows)}</table>" if rows else "<p>no difference</p>"

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        for field, found in vars(self).items():
            kind, _, change = field.partition("_")
            sign = {"added": "+", "removed": "-", "changed": "~"}[change]
            for name, what in found.items():
                yield sign, kind.removesuffix("s"), visible(name), str(what)


def diff(before: FileOrPath, after: FileOrPath, *, threads: int | None = None) -> Difference:
    """Compare two files: what the second has more, less, and otherwise than the first."""
    with opened(before) as a, opened(after) as b:
        keys_a = [key for key in a.metadata if key not in LAYOUT_KEYS]
        keys_b = [key for key in b.metadata if key not in LAYOUT_KEYS]
        return Difference(
            metadata_added={key: _value(b, key) for key in keys_b if key not in a.metadata},
            metadata_removed={key: _value(a, key) for key in keys_a if key not in b.metadata},
            metadata_changed={
                key: _changed_value(a, b, key)
                for key in keys_a
                if key in b.metadata and a.metadata.value(key) != b.metadata.value(key)
            },
            tensors_added={name: _tensor(b[name]) for name in b if name not in a},
            tensors_removed={name: _tensor(a[name]) for name in a if name not in b},
            tensors_changed=_changed_tensors(a, b, threads),
        )


# ---- metadata


def _value(file: GGUF, key: str) -> ShownValue:
    return ShownValue(type_name(file.metadata.type(key)), shown(file.metadata, key))


def _changed_value(a: GGUF, b: GGUF, key: str) -> ChangedValue:
    before, after = _value(a, key), _value(b, key)
    where = ""
    if before == after:  # alike as far as they are shown
        x = bytes(a.metadata.value(key).encoded())
        y = bytes(b.metadata.value(key).encoded())
        where = f"differing from byte {_first_difference(x, y)} of the stored value"
        if before.type.endswith("[]"):
            where = _differing_elements(a.metadata[key], b.metadata[key]) or where
    return ChangedValue(before, after, where)


def _first_difference(x: bytes, y: bytes) -> int:
    shorter = min(len(x), len(y))
    unequal = np.frombuffer(x, np.uint8, shorter) != np.frombuffer(y, np.uint8, shorter)
    return int(unequal.argmax()) if unequal.any() else shorter


def _differing_elements(x: Any, y: Any) -> str:
    raw_x, raw_y = (getattr(array, "raw", array.__getitem__) for array in (x, y))
    places = [i for i in range(len(x)) if np.any(raw_x(i) != raw_y(i))]
    if len(places) < 2:
        return f"element {places[0]} differs" if places else ""
    return f"{len(places)} elements differ, the first is {places[0]}"


# ---- tensors


def _tensor(tensor: TensorInfo) -> ShownTensor:
    return ShownTensor(tensor.quant.name, tensor.shape, tensor.n_bytes)


def _changed_tensors(a: GGUF, b: GGUF, threads: int | None) -> dict[str, ChangedTensor]:
    common = [name for name in a if name in b]
    found: dict[str, ChangedTensor] = {}

    def work(first: int, last: int) -> None:
        for name in common[first:last]:
            changed = _changed_tensor(a[name], b[name])
            if changed is not None:
                found[name] = changed

    pool.run(work, len(common), threads=threads)
    return {name: found[name] for name in common if name in found}


def _changed_tensor(a: TensorInfo, b: TensorInfo) -> ChangedTensor | None:
    if a.shape != b.shape:
        return ChangedTensor(_tensor(a), _tensor(b))
    blocks = math.lcm(a.quant.block, b.quant.block)
    step = max(1, VALUES_PER_PIECE // blocks) * blocks
    if a.quant is b.quant and all(
        np.array_equal(x, y) for x, y in zip(pieces(a, step), pieces(b, step), strict=True)
    ):
        return None
    largest = squares = reference = 0.0
    with np.errstate(all="ignore"):
        for x, y in zip(_decoded(a, step), _decoded(b, step), strict=True):
            same = (x == y) | (np.isnan(x) & np.isnan(y))
            difference = np.where(same, 0, y - x)
            difference[np.isnan(difference)] = np.inf
            largest = max(largest, float(np.abs(difference).max(initial=0)))
            squares += float(np.square(difference).sum())
            reference += float(np.square(x[np.isfinite(x)]).sum())
    nmse = squares / reference if reference else (0.0 if squares == 0 else math.inf)
    return ChangedTensor(_tensor(a), _tensor(b), largest, nmse)


def _decoded(tensor: TensorInfo, n_values: int) -> Iterator[NDArray[np.float64]]:
    """The values, so many at a time."""
    code = PLAIN.get(tensor.quant.name)
    for piece in pieces(tensor, n_values):
        if code:
            yield piece.view(f"<{code}").astype(np.float64)
        else:
            yield tensor.quant.dequantize(piece, threads=1).astype(np.float64)
