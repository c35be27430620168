"""Importance matrices: how much each input of each weight matrix is used, from a run over a text.

A quantizer makes smaller errors where the importance is larger. Two kinds of files are read: GGUF,
with two tensors for each weight matrix (`NAME.in_sum2`, sums of squared inputs, and `NAME.counts`,
how many were added), and the `.dat` that came before it. A matrix of experts has one row for each.

>>> sums = np.array([[2.0, 4.0], [0.0, 0.0]], np.float32)
>>> Imatrix({"blk.0.ffn_up_exps.weight": Entry(sums, np.array([2, 0]))})["blk.0.ffn_up_exps.weight"]
array([[1., 2.],
       [1., 1.]], dtype=float32)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import gguf
from ...errors import FormatError, ImatrixError
from ...quants.base import Floats

SUMS, COUNTS = ".in_sum2", ".counts"


@dataclass(frozen=True)
class Entry:
    """What one weight matrix saw: sums of squares [n_experts, n_cols], and counts [n_experts]."""

    sums: Floats
    counts: NDArray[np.int64]

    def weights(self) -> Floats:
        """Mean squares; an expert that was never asked counts all its inputs alike."""
        counts = self.counts.astype(np.float32)[:, None]
        return np.divide(self.sums, counts, out=np.ones_like(self.sums), where=counts > 0)


class Imatrix(Mapping[str, Floats]):
    """Importance by tensor name: float32 [n_cols], or [n_experts, n_cols] of several experts."""

    def __init__(
        self,
        entries: Mapping[str, Entry],
        *,
        path: str = "",
        datasets: Iterable[str] = (),
        chunks: int = 0,
        chunk_size: int = 0,
    ) -> None:
        self.entries = dict(entries)
        self.path, self.datasets = path, tuple(datasets)
        self.chunks, self.chunk_size = chunks, chunk_size

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Imatrix:
        """Read a file, GGUF or the older kind: its first bytes tell."""
        path = Path(path)
        with path.open("rb") as file:
            is_gguf = file.read(4) == b"GGUF"
        try:
            return _read_gguf(path) if is_gguf else _read_legacy(path)
        except FormatError as error:
            raise ImatrixError(f"{path}: {error}") from error

    @classmethod
    def of(cls, source: Any) -> Imatrix | None:
        """An importance matrix from a path, from a mapping name -> weights, or from itself."""
        if source is None or isinstance(source, Imatrix):
            return source
        if not isinstance(source, Mapping):
            return cls.open(source)
        entries = {}
        for name, weights in source.items():
            sums = np.atleast_2d(np.asarray(weights, np.float32))
            entries[name] = Entry(sums, np.ones(len(sums), np.int64))
        return cls({name: _checked(name, entry) for name, entry in entries.items()})

    def __getitem__(self, name: str) -> Floats:
        weights = self.entries[name].weights()
        return weights[0] if len(weights) == 1 else weights

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        source = f"{self.path!r}: " if self.path else ""
        return f"<Imatrix {source}{len(self)} tensors, {self.chunks} chunks>"

    def select(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> Imatrix:
        """Those entries whose name contains one of `include` (if any) and none of `exclude`."""
        include, exclude = tuple(include), tuple(exclude)
        kept = {
            name: entry
            for name, entry in self.entries.items()
            if (not include or any(part in name for part in include))
            and not any(part in name for part in exclude)
        }
        return Imatrix(
            kept,
            path=self.path,
            datasets=self.datasets,
            chunks=self.chunks,
            chunk_size=self.chunk_size,
        )

    def rows_for(self, name: str, shape: tuple[int, ...]) -> Floats | None:
        """The importance of a tensor's columns, [n_experts, n_cols]; None if there is no entry."""
        if name not in self.entries:
            return None
        experts = shape[-3] if len(shape) > 2 else 1
        weights = self[name]
        if weights.size != experts * shape[-1]:
            raise ImatrixError(
                f"{name} has {experts} x {shape[-1]} columns, but its importance has "
                f"{weights.size} values: this importance matrix was made from another model; "
                f"make one from this model, or leave the entry out"
            )
        return weights.reshape(experts, shape[-1])

    def metadata(self) -> dict[str, Any]:
        """What a model quantized with it says about it."""
        # llama.cpp keeps 127 bytes of a text
        short = [
            text.encode()[:127].decode(errors="ignore") for text in (self.path, *self.datasets)
        ]
        keys: dict[str, Any] = {}
        if self.path:
            keys["quantize.imatrix.file"] = short[0]
        if self.datasets:
            keys["quantize.imatrix.dataset"] = short[1]
        keys["quantize.imatrix.entries_count"] = gguf.typed(gguf.ValueType.UINT32, len(self))
        if self.chunks > 0:
            keys["quantize.imatrix.chunks_count"] = gguf.typed(gguf.ValueType.UINT32, self.chunks)
        return keys

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as GGUF, as llama.cpp's tools do."""
        metadata = {
            "general.type": "imatrix",
            "imatrix.datasets": gguf.typed(
                gguf.ArrayType(gguf.ValueType.STRING), list(self.datasets)
            ),
            "imatrix.chunk_count": gguf.typed(gguf.ValueType.UINT32, self.chunks),
            "imatrix.chunk_size": gguf.typed(gguf.ValueType.UINT32, self.chunk_size),
        }
        tensors = []
        for name, entry in sorted(self.entries.items()):
            tensors.append((name + SUMS, np.ascontiguousarray(entry.sums, np.float32)))
            tensors.append((name + COUNTS, entry.counts.astype(np.float32)[:, None]))
        gguf.write(path, metadata, tensors)


def _checked(name: str, entry: Entry) -> Entry:
    """The entry, if its numbers can weigh anything."""
    sums = entry.sums
    if not (np.isfinite(sums).all() and (sums >= 0).all()):
        at = np.argwhere(~(np.isfinite(sums) & (sums >= 0)))[0]
        raise ImatrixError(
            f"the importance of {name} is {sums[tuple(at)]} at column {at[-1]}: importance is "
            f"finite and not negative; make the importance matrix anew"
        )
    return entry


# ---- GGUF


def _read_gguf(path: Path) -> Imatrix:
    with gguf.GGUF.open(path) as file:
        keys = ("imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size")
        absent = [key for key in keys if key not in file.metadata]
        if absent:
            raise ImatrixError(
                f"{path} lacks {absent[0]}, so it is no importance matrix: make one with "
                f"`llamapy imatrix`"
            )
        datasets = file.metadata.expect("imatrix.datasets", list[str])
        chunks = file.metadata.expect("imatrix.chunk_count", int)
        chunk_size = file.metadata.expect("imatrix.chunk_size", int)
        parts: dict[str, dict[str, Floats]] = {}
        for name, tensor in file.items():
            for part in (SUMS, COUNTS):
                if name.endswith(part):
                    if tensor.quant.name != "F32":
                        raise ImatrixError(f"{path}: {name} is {tensor.quant.name}, not F32")
                    parts.setdefault(name.removesuffix(part), {})[part] = np.array(tensor.numpy())
        if not parts:
            raise ImatrixError(f"{path} has no tensors called NAME{SUMS} and NAME{COUNTS}")
        entries = {name: _entry(name, part) for name, part in parts.items()}
        return Imatrix(
            entries,
            path=str(path),
            datasets=datasets,
            chunks=chunks,
            chunk_size=chunk_size,
        )


def _entry(name: str, parts: Mapping[str, Floats]) -> Entry:
    if len(parts) != 2:
        missing = name + (COUNTS if SUMS in parts else SUMS)
        raise ImatrixError(f"there is no {missing}: sums and counts belong together")
    sums, counts = parts[SUMS], parts[COUNTS]
    if not counts.size or sums.size % counts.size:
        raise ImatrixError(
            f"{name} has {sums.size} sums and {counts.size} counts: each expert has one count and "
            f"equally many sums"
        )
    if not (np.isfinite(counts).all() and (np.abs(counts) < 2.0**62).all()):
        raise ImatrixError(f"a count of {name} is not a number of inputs")
    whole = np.copysign(np.floor(np.abs(counts) + np.float32(0.5)), counts).astype(np.int64)
    return _checked(name, Entry(sums.reshape(counts.size, -1), whole.reshape(-1)))


# ---- the older kind


def _read_legacy(path: Path) -> Imatrix:
    """Entries of (length, name, calls, size, values), then how many chunks and from which text."""
    reader = _Legacy(path.read_bytes(), path)
    n_entries = reader.number("number of entries")
    if n_entries < 1:
        raise ImatrixError(f"{path} holds no importance matrix: it begins with {n_entries} entries")
    entries = {}
    for _ in range(n_entries):
        name = reader.text("name of an entry")
        calls, size = reader.number(f"calls of {name}"), reader.number(f"size of {name}")
        if size < 1:
            raise ImatrixError(f"{path}: {name} has {size} values")
        sums = np.frombuffer(reader.take(size * 4, name), "<f4").astype(np.float32)
        # the sums are means times the number of calls
        counts = np.array([calls if calls > 0 else 1])
        entries[name] = _checked(name, Entry(sums[None], counts))
    chunks = reader.number("chunks") if reader.left >= 4 else 0
    dataset = reader.text("dataset") if reader.left >= 4 else ""
    return Imatrix(entries, path=str(path), datasets=[dataset] if dataset else [], chunks=chunks)


class _Legacy:
    """The bytes of an old file, taken from the front and never beyond the end."""

    def __init__(self, raw: bytes, path: Path) -> None:
        self.raw, self.path, self.at = raw, path, 0

    @property
    def left(self) -> int:
        return len(self.raw) - self.at

    def take(self, size: int, what: str) -> bytes:
        if not 0 <= size <= self.left:
            raise ImatrixError(
                f"{self.path}: byte {self.at}: {what} asks for {size} bytes where {self.left} are "
                f"left: the file is no importance matrix, or is cut off"
            )
        self.at += size
        return self.raw[self.at - size : self.at]

    def number(self, what: str) -> int:
        return int.from_bytes(self.take(4, what), "little", signed=True)

    def text(self, what: str) -> str:
        raw = self.take(self.number(f"length of the {what}"), what)
        return raw.split(b"\0")[0].decode("utf-8", "replace")
