"""Writes GGUF files: streamed, the same bytes each time, whole or not at all."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .. import quants
from ..errors import Cancelled, ShapeError, UnsupportedError
from ..files import Replacement
from ..quants.base import Quant
from .header import alignment_problem, padded, shape_problem
from .metadata import Metadata, name_problem
from .reader import GGUF, SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS, SPLIT_TYPES, split_path
from .tensor import PLAIN, TensorInfo
from .types import (
    ALIGNMENT_KEY,
    BYTE_ORDERS,
    DEFAULT_ALIGNMENT,
    LITTLE,
    MAGIC,
    MAX_DIMENSIONS,
    MAX_NAME_BYTES,
    MAX_TENSORS,
    VERSIONS,
    ArrayType,
    ByteOrder,
    ValueType,
)
from .values import typed

PIECE = 1 << 22
FORMATS = {code: name for name, code in PLAIN.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A tensor whose blocks are encoded already, as `quant.quantize` gives them."""

    quant: type[Quant] | str
    shape: tuple[int, ...]
    raw: Any


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """A tensor whose encoded bytes come in pieces: `chunks()` is called once, in its turn."""

    quant: type[Quant] | str
    shape: tuple[int, ...]
    chunks: Callable[[], Iterable[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class PlannedTensor:
    """What is to be written: a size that is known, and bytes in pieces, in a byte order."""

    name: str
    quant: type[Quant]
    shape: tuple[int, ...]
    n_bytes: int
    pieces: Callable[[ByteOrder], Iterable[Any]]


Tensors = Mapping[str, Any] | Iterable[tuple[str, Any]]
Progress = Callable[[int, int], object]


def write(
    path: str | os.PathLike[str],
    metadata: Mapping[str, Any],
    tensors: Tensors,
    *,
    byteorder: Literal["little", "big"] | None = None,
    version: int | None = None,
    alignment: int | None = None,
    split_max_size: int | None = None,
    split_max_tensors: int | None = None,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Write a file, or several, and give their paths. `write(p2, f.metadata, f)` copies a file.

    A tensor is an ndarray, a `TensorInfo` of another file, `Encoded` blocks or a `Stream` of them.
    Byte order and version are those of `tensors` if that is an open file, else little-endian and 3;
    the alignment is that of the metadata, else 32. `split_max_size` (bytes of tensors) and
    `split_max_tensors` write `name-00001-of-0000N.gguf` if one file does not do.
    `progress(done, total)` is told of bytes, and cancels by returning False.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tiny.gguf"
    >>> write(path, {"general.architecture": "tiny"}, {"a": np.ones((2, 3), np.float32)})[0].name
    'tiny.gguf'
    >>> with GGUF.open(path) as f:
    ...     f["a"], f["a"].numpy().tolist()
    (<tensor 'a': F32 2 x 3, 24 bytes>, [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    """
    order = _byte_order(byteorder or (tensors.byteorder if isinstance(tensors, GGUF) else "little"))
    version = version or (tensors.version if isinstance(tensors, GGUF) else VERSIONS[-1])
    if version not in VERSIONS:
        raise UnsupportedError(f"GGUF version {version} cannot be written: choose 2 or 3")
    metadata = metadata if isinstance(metadata, Metadata) else Metadata(metadata)
    metadata, alignment = _with_alignment(metadata, alignment)
    plan = plan_tensors(tensors)
    parts = divide(plan, split_max_size, split_max_tensors, alignment)
    if len(parts) == 1:
        files = [Part(Path(path), _joined_metadata(metadata), parts[0])]
    else:
        files = numbered_parts(Path(path), metadata, parts)
    write_parts(files, version, order, alignment, progress)
    return tuple(file.path for file in files)


@dataclass(frozen=True, slots=True)
class Part:
    """One file of those that are written together: just this metadata and these tensors."""

    path: Path
    metadata: Metadata
    tensors: list[PlannedTensor]


def write_parts(
    parts: list[Part],
    version: int,
    order: ByteOrder,
    alignment: int,
    progress: Progress | None = None,
) -> None:
    """Write files that take their places together, or none of them does."""
    headers = [
        encode_header(version, order, alignment, part.metadata, part.tensors) for part in parts
    ]
    sizes = [
        sum(map(len, header)) + sum(padded(tensor.n_bytes, alignment) for tensor in part.tensors)
        for header, part in zip(headers, parts, strict=True)
    ]
    tell = Teller(progress, sum(sizes))
    with Replacement() as new:
        for i, (header, part) in enumerate(zip(headers, parts, strict=True)):
            with new.file(part.path, needed=sum(sizes[i:])) as output:
                for field in header:
                    output.write(field)
                tell(sum(map(len, header)))
                for tensor in part.tensors:
                    for piece in _exactly(tensor, order):
                        output.write(piece)
                        tell(len(piece))
                    padding = padded(tensor.n_bytes, alignment) - tensor.n_bytes
                    output.write(bytes(padding))
                    tell(padding)


class Teller:
    """Counts bytes for `progress`, and stops when it says so."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self, size: int) -> None:
        self._done += size
        if size and self._progress and self._progress(self._done, self._total) is False:
            raise Cancelled(
                f"writing was cancelled after {self._done} of {self._total} bytes: nothing was "
                f"changed"
            )


def _byte_order(name: str) -> ByteOrder:
    if name not in BYTE_ORDERS:
        raise UnsupportedError(f"byteorder {name!r} is unknown: choose 'little' or 'big'")
    return BYTE_ORDERS[name]


def _with_alignment(metadata: Metadata, alignment: int | None) -> tuple[Metadata, int]:
    """The metadata with the alignment that is asked for, and that alignment."""
    stored = DEFAULT_ALIGNMENT
    if ALIGNMENT_KEY in metadata:
        value = typed(ValueType.UINT32, metadata.value(ALIGNMENT_KEY))
        metadata = metadata.updated({ALIGNMENT_KEY: value})
        stored = value.get()
    if alignment is None:
        alignment = stored
    if problem := alignment_problem(alignment):
        raise UnsupportedError(f"{ALIGNMENT_KEY} {alignment} {problem}")
    if alignment != stored:
        metadata = metadata.updated({ALIGNMENT_KEY: typed(ValueType.UINT32, alignment)})
    return metadata, alignment


# ---- header


def encode_header(
    version: int, order: ByteOrder, alignment: int, metadata: Metadata, part: list[PlannedTensor]
) -> list[Any]:
    """The bytes before the tensors, in pieces: a vocabulary is not copied together."""
    u32, u64 = order.u32.pack, order.u64.pack
    fields: list[Any] = [MAGIC, u32(version), u64(len(part)), u64(len(metadata))]
    for key in metadata:
        value, name = metadata.value(key), key.encode()
        kind = ValueType.ARRAY if isinstance(value.type, ArrayType) else value.type
        fields += [u64(len(name)), name, u32(kind), value.encoded(order)]
    offset = 0
    for tensor in part:
        name = tensor.name.encode()
        fields += [u64(len(name)), name, u32(len(tensor.shape))]
        fields += [u64(size) for size in reversed(tensor.shape)]
        fields += [u32(tensor.quant.id), u64(offset)]
        offset += padded(tensor.n_bytes, alignment)
    if part:
        size = sum(map(len, fields))
        fields.append(bytes(padded(size, alignment) - size))
    return fields


# ---- tensors


def plan_tensors(tensors: Tensors) -> list[PlannedTensor]:
    plan: dict[str, PlannedTensor] = {}
    for name, value in tensors.items() if isinstance(tensors, Mapping) else tensors:
        if problem := name_problem(name, MAX_NAME_BYTES):
            raise UnsupportedError(f"the tensor name {name!r:.80} {problem}")
        if name in plan:
            raise UnsupportedError(f"two tensors are named {name!r}: rename one")
        tensor = plan[name] = _tensor(name, value)
        if len(tensor.shape) > MAX_DIMENSIONS:
            raise ShapeError(
                f"{name} has {len(tensor.shape)} dimensions, and a file holds {MAX_DIMENSIONS}: "
                f"reshape it"
            )
        if problem := shape_problem(tensor.shape):
            raise ShapeError(f"{name} of shape {tensor.shape} {problem}")
    if len(plan) > MAX_TENSORS:
        raise UnsupportedError(f"there are {len(plan)} tensors, and the limit is {MAX_TENSORS}")
    return list(plan.values())


def _tensor(name: str, value: Any) -> PlannedTensor:
    if isinstance(value, TensorInfo):
        return PlannedTensor(name, value.quant, value.shape, value.n_bytes, _copy_of(value))
    if isinstance(value, (Encoded, Stream)):
        quant, shape = quants.get(value.quant), tuple(map(int, value.shape))
        if min(shape, default=0) < 0:
            raise ShapeError(f"{name} has the shape {shape}: sizes are not negative")
        n_bytes = math.prod(shape[:-1]) * quant.row_bytes(shape[-1] if shape else 1)
        if isinstance(value, Stream):
            chunks = value.chunks
            return PlannedTensor(
                name, quant, shape, n_bytes, lambda order: _ordered(chunks(), quant, order)
            )
        raw = value.raw
        return PlannedTensor(
            name, quant, shape, n_bytes, lambda order: _ordered([raw], quant, order)
        )
    if isinstance(value, np.ndarray):
        code = f"{value.dtype.kind}{value.dtype.itemsize}"
        if code not in FORMATS:
            raise UnsupportedError(
                f"{name} is an array of {value.dtype}, and a file holds {', '.join(FORMATS)}: "
                f"convert it, or encode it with quants.get(...).quantize"
            )
        quant = quants.get(FORMATS[code])
        return PlannedTensor(
            name,
            quant,
            value.shape,
            value.nbytes,
            lambda order: [np.ascontiguousarray(value, order.prefix + code)],
        )
    raise UnsupportedError(
        f"{name} is a {type(value).__name__}: pass an ndarray, a TensorInfo, Encoded or Stream"
    )


def _copy_of(tensor: TensorInfo) -> Callable[[ByteOrder], Iterable[Any]]:
    def pieces(order: ByteOrder) -> Iterator[Any]:
        source, start, stop = tensor.source, tensor.offset, tensor.offset + tensor.n_bytes
        step = PIECE // tensor.quant.layout.itemsize * tensor.quant.layout.itemsize
        for at in range(start, stop, step):
            source.check()
            piece = source.view[at : min(at + step, stop)]
            yield piece if source.order is order else _swap(piece, tensor.quant, source.order)

    return pieces


def _ordered(chunks: Iterable[Any], quant: type[Quant], order: ByteOrder) -> Iterator[Any]:
    """Little-endian bytes in pieces of any size, in the byte order of the file."""
    kept = b""
    size = quant.layout.itemsize
    for chunk in chunks:
        if isinstance(chunk, np.ndarray):
            chunk = np.ascontiguousarray(chunk)
        view = memoryview(chunk)
        if not view.nbytes:
            continue
        if order is LITTLE:
            yield view.cast("B")
            continue
        joined = kept + view.cast("B").tobytes()
        whole = len(joined) // size * size
        kept = joined[whole:]
        yield _swap(joined[:whole], quant, LITTLE)
    yield kept


def _swap(piece: Any, quant: type[Quant], old: ByteOrder) -> bytes:
    """Whole blocks in the other byte order."""
    layouts = quant.layout.newbyteorder("<"), quant.layout.newbyteorder(">")
    before, after = layouts if old is LITTLE else layouts[::-1]
    return np.frombuffer(piece, before).astype(after).tobytes() if len(piece) else b""


def _exactly(tensor: PlannedTensor, order: ByteOrder) -> Iterator[memoryview]:
    """The tensor's bytes in pieces fit for progress; too few or too many are refused."""
    done = 0
    for chunk in tensor.pieces(order):
        view = memoryview(chunk)
        if not view.nbytes:
            continue
        view = view.cast("B")
        done += len(view)
        if done > tensor.n_bytes:
            break
        for at in range(0, len(view), PIECE):
            yield view[at : at + PIECE]
    if done != tensor.n_bytes:
        more = "or more " if done > tensor.n_bytes else ""
        raise ShapeError(
            f"{tensor.name} of shape {tensor.shape} as {tensor.quant.name} takes {tensor.n_bytes} "
            f"bytes, and {done} {more}came: check the shape and the data"
        )


# ---- several files


def divide(
    plan: list[PlannedTensor], max_size: int | None, max_tensors: int | None, alignment: int
) -> list[list[PlannedTensor]]:
    """The tensors of each file, in order; a part holds at least one."""
    for name, limit in (("split_max_size", max_size), ("split_max_tensors", max_tensors)):
        if limit is not None and limit < 1:
            raise UnsupportedError(f"{name} is {limit}: give at least 1, or None for one file")
    parts: list[list[PlannedTensor]] = [[]]
    size = 0
    for tensor in plan:
        n_bytes = padded(tensor.n_bytes, alignment)
        full = (max_size is not None and size + n_bytes > max_size) or (
            max_tensors is not None and len(parts[-1]) >= max_tensors
        )
        if full and parts[-1]:
            parts.append([])
            size = 0
        parts[-1].append(tensor)
        size += n_bytes
    if len(parts) > 65_535:
        raise UnsupportedError(f"{len(parts)} files are too many: allow larger parts")
    return parts


def numbered_parts(path: Path, metadata: Metadata, parts: list[list[PlannedTensor]]) -> list[Part]:
    """The files: all metadata in the first, and in each what ties them together."""
    whole = metadata.updated(remove=[key for key in SPLIT_TYPES if key in metadata])
    other = Metadata(
        {ALIGNMENT_KEY: metadata.value(ALIGNMENT_KEY)} if ALIGNMENT_KEY in metadata else {}
    )
    # in the order in which llama.cpp's tool leaves them: the parts are the same bytes
    numbers = {SPLIT_TENSORS: sum(map(len, parts)), SPLIT_COUNT: len(parts)}
    files = []
    for number, tensors in enumerate(parts):
        ties = {
            key: typed(SPLIT_TYPES[key], value)
            for key, value in ({SPLIT_NO: number} | numbers).items()
        }
        own = (other if number else whole).updated(ties)
        files.append(Part(split_path(path, number + 1, len(parts)), own, tensors))
    return files


def _joined_metadata(metadata: Metadata) -> Metadata:
    """The metadata of one file: that of a part loses what tied it to the others."""
    # a file that was joined from parts says 0, and may go on saying so
    was_part = metadata.expect(SPLIT_COUNT, int, 1) > 1
    return metadata.updated(remove=[k for k in SPLIT_TYPES if k in metadata] if was_part else [])
