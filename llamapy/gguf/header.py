"""Reads a file's header and trusts nothing: every count is held against the bytes that are left.

The rules are llama.cpp's, and so are the verdicts, with these differences. Arrays of arrays and
big-endian files are read. Keys and tensor names must be UTF-8 without zero bytes, because two
programs would otherwise see different names. Alignment, key length, and the number of keys, of
tensors and of arrays in arrays have limits. An empty tensor's other sizes must be possible. The
bytes of every tensor must be there; the padding after the last one need not be: llama.cpp's model
loader asks for no more, its reader of bare files does. Whether a string is UTF-8 is seen when it is
asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple, NoReturn

import numpy as np

from .. import quants
from ..errors import FormatError, ShapeError, UnsupportedError
from ..quants import Quant
from .arrays import Offsets, scan_strings, string_problem
from .source import Source
from .tensor import TensorInfo
from .types import (
    ALIGNMENT_KEY,
    BIG,
    DEFAULT_ALIGNMENT,
    LITTLE,
    MAGIC,
    MAX_ALIGNMENT,
    MAX_ARRAY_DEPTH,
    MAX_DIMENSIONS,
    MAX_EMPTY_VALUES,
    MAX_INNER_ARRAYS,
    MAX_KEY_BYTES,
    MAX_KEYS,
    MAX_NAME_BYTES,
    MAX_TENSORS,
    MAX_VALUES,
    SIZES,
    VERSIONS,
    AnyType,
    ArrayType,
    ValueType,
)
from .values import Value

MIN_KEY_RECORD = 8 + 1 + 4 + 1
MIN_TENSOR_RECORD = 8 + 0 + 4 + 4 + 8

_KINDS: dict[int, ValueType] = {int(kind): kind for kind in ValueType}
_ARRAYS = {kind: ArrayType(kind) for kind in ValueType}


@dataclass(slots=True)
class Header:
    """All that a file says before its tensors' bytes."""

    version: int
    alignment: int
    data_offset: int
    values: dict[str, Value]
    tensors: dict[str, TensorInfo]


class Cursor:
    """A place in a file, from which fields are read; a field that is not all there is an error."""

    __slots__ = ("at", "inner_arrays", "order", "size", "source", "view")

    def __init__(self, source: Source) -> None:
        self.source, self.view, self.size = source, source.view, source.size
        self.order, self.at = LITTLE, 0
        self.inner_arrays = 0

    def u32(self, field: str) -> int:
        at = self.take(4, field)
        number: int = self.order.u32.unpack_from(self.view, at)[0]
        return number

    def u64(self, field: str) -> int:
        at = self.take(8, field)
        number: int = self.order.u64.unpack_from(self.view, at)[0]
        return number

    def take(self, size: int, field: str) -> int:
        """Step over so many bytes; gives where they begin."""
        at = self.at
        self.at = at + size
        if self.at > self.size:
            bad(
                f"{size} bytes are needed and {self.size - at} are left: get the file again",
                at,
                field,
            )
        return at

    def name(self, field: str, limit: int) -> str:
        """A short text that others refer to."""
        at = self.at
        length = self.u64(field)
        if length > limit:
            bad(f"it has {length} bytes, and the limit is {limit}: rename it", at, field, length)
        start = self.take(length, field)
        try:
            text = str(self.view[start : self.at], "utf-8")
        except UnicodeDecodeError as error:
            raw = bytes(self.view[start : self.at])
            bad(f"{raw!r:.80} is not UTF-8: rename it", start + error.start, field, raw)
        if "\0" in text:
            bad(f"{text!r:.80} holds a zero byte, which would cut it: rename it", at, field, text)
        return text


def bad(message: str, at: int, field: str, value: object = None) -> NoReturn:
    raise FormatError(message, offset=at, field=field, value=value)


def read_header(source: Source) -> Header:
    """Read and check all of a header. Sets the source's byte order."""
    cursor = Cursor(source)
    version = _read_version(cursor)
    n_tensors, n_keys = _read_counts(cursor)
    values: dict[str, Value] = {}
    for _ in repeat(None, n_keys):
        _read_value(cursor, values)
    alignment = _alignment(values)
    records: dict[str, Record] = {}
    relative = 0
    for _ in repeat(None, n_tensors):
        record = _read_tensor(cursor, records, relative)
        records[record.name] = record
        relative += padded(record.n_bytes, alignment)
    data_offset = padded(cursor.at, alignment) if n_tensors else cursor.at
    tensors: dict[str, TensorInfo] = {}
    for name, record in records.items():
        offset = data_offset + record.offset
        if offset + record.n_bytes > source.size:
            bad(
                f"{name!r} ends at byte {offset + record.n_bytes}, and the file has {source.size}: "
                f"get the file again",
                record.at,
                "data",
                offset + record.n_bytes,
            )
        tensors[name] = TensorInfo(name, record.shape, record.quant, record.n_bytes, offset, source)
    return Header(version, alignment, data_offset, values, tensors)


def padded(size: int, alignment: int) -> int:
    """The next multiple of the alignment."""
    return -(-size // alignment) * alignment


def _read_version(cursor: Cursor) -> int:
    magic = bytes(cursor.view[:4])
    if magic != MAGIC:
        bad(f"the file begins with {magic!r}, not {MAGIC!r}: it is no GGUF file", 0, "magic", magic)
    cursor.at = 4
    version = cursor.u32("version")
    # 2 or 3 read in the wrong order has no low bits
    if version & 0xFFFF == 0:
        cursor.order = BIG
        cursor.at = 4
        version = cursor.u32("version")
    if version == 1:
        bad("version 1 has not been written since 2023: convert the model again", 4, "version", 1)
    if version not in VERSIONS:
        bad(
            f"version {version} is unknown, and 2 and 3 are read: update llamapy or get the file "
            f"again",
            4,
            "version",
            version,
        )
    cursor.source.order = cursor.order
    return version


def _read_counts(cursor: Cursor) -> tuple[int, int]:
    n_tensors, n_keys = cursor.u64("n_tensors"), cursor.u64("n_keys")
    left = cursor.size - cursor.at
    for count, smallest, limit, at, field in (
        (n_tensors, MIN_TENSOR_RECORD, MAX_TENSORS, 8, "n_tensors"),
        (n_keys, MIN_KEY_RECORD, MAX_KEYS, 16, "n_keys"),
    ):
        if count > limit:
            bad(f"{count} is more than the limit of {limit}: the file is damaged", at, field, count)
        if count * smallest > left:
            bad(f"{count} do not fit into {left} bytes: get the file again", at, field, count)
        left -= count * smallest
    return n_tensors, n_keys


# ---- metadata


def _read_value(cursor: Cursor, values: dict[str, Value]) -> None:
    at = cursor.at
    key = cursor.name("key", MAX_KEY_BYTES)
    if not key:
        bad("a key is empty: name it", at, "key", key)
    if key in values:
        bad(f"{key!r:.80} is there twice: remove one", at, "key", key)
    kind = _KINDS.get(number := cursor.u32("value type"))
    start = cursor.at
    if kind is None:
        bad(f"{key!r:.80} has type {number}, and types are 0 to 12: convert the model again",
            start - 4, "value type", number)  # fmt: skip
    size = SIZES.get(kind)
    if size is not None:
        cursor.take(size, "value")
        values[key] = Value(kind, cursor.source, start, cursor.at)
    elif kind is ValueType.STRING:
        _skip_string(cursor)
        values[key] = Value(kind, cursor.source, start, cursor.at)
    else:
        array, starts = _skip_array(cursor, 1)
        values[key] = Value(array, cursor.source, start, cursor.at, starts)


def _skip_string(cursor: Cursor) -> None:
    at = cursor.at
    length = cursor.u64("string length")
    if problem := string_problem(length, cursor.size - cursor.at):
        bad(f"a string {problem}", at, "string length", length)
    cursor.at += length


def _skip_array(cursor: Cursor, depth: int) -> tuple[ArrayType, Offsets | None]:
    """Step over an array: its type, and where its elements begin if they differ in size."""
    at = cursor.at
    number = cursor.u32("array type")
    kind = _KINDS.get(number)
    if kind is None:
        bad(f"an array is of type {number}, and types are 0 to 12: convert the model again",
            at, "array type", number)  # fmt: skip
    count = cursor.u64("array length")
    size = SIZES.get(kind) or (8 if kind is ValueType.STRING else 12)
    left = cursor.size - cursor.at
    if count * size > left:
        bad(f"{count} elements of {kind.name} do not fit into the {left} bytes that are left: get "
            f"the file again", at + 4, "array length", count)  # fmt: skip
    if kind in SIZES:
        cursor.at += count * size
        return _ARRAYS[kind], None
    if kind is ValueType.STRING:
        starts = scan_strings(cursor.view, cursor.at, count, cursor.order)
        cursor.at = int(starts[-1]) - 8
        return _ARRAYS[kind], starts
    return _skip_nested(cursor, count, depth + 1)


def _skip_nested(cursor: Cursor, count: int, depth: int) -> tuple[ArrayType, Offsets]:
    if depth > MAX_ARRAY_DEPTH:
        bad(f"arrays are nested more than {MAX_ARRAY_DEPTH} deep: flatten them",
            cursor.at - 12, "array type", depth)  # fmt: skip
    cursor.inner_arrays += count
    if cursor.inner_arrays > MAX_INNER_ARRAYS:
        bad(f"there are {cursor.inner_arrays} arrays in arrays, and the limit is "
            f"{MAX_INNER_ARRAYS}: flatten them", cursor.at - 8, "array length", count)  # fmt: skip
    starts = [cursor.at]
    common: AnyType = ValueType.ARRAY
    for _ in repeat(None, count):
        inner, _starts = _skip_array(cursor, depth)
        if inner is not common:
            unified = _unify(common, inner)
            if unified is None:
                bad(f"an array of arrays mixes {common!r} and {inner!r}: make it one type",
                    starts[-1], "array type", inner)  # fmt: skip
            common = unified
        starts.append(cursor.at)
    return ArrayType(common), np.array(starts, np.int64)


def _unify(a: AnyType, b: AnyType) -> AnyType | None:
    """The type of two arrays; that of an empty one may be open."""
    if a == b or b is ValueType.ARRAY:
        return a
    if a is ValueType.ARRAY:
        return b if isinstance(b, ArrayType) else None
    if isinstance(a, ArrayType) and isinstance(b, ArrayType):
        inner = _unify(a.element, b.element)
        return None if inner is None else ArrayType(inner)
    return None


def _alignment(values: dict[str, Value]) -> int:
    value = values.get(ALIGNMENT_KEY)
    if value is None:
        return DEFAULT_ALIGNMENT
    if value.type is not ValueType.UINT32:
        bad(f"it is {value.type!r} and must be UINT32: write the file again",
            value.start, ALIGNMENT_KEY, value.type)  # fmt: skip
    alignment: int = value.get()
    if problem := alignment_problem(alignment):
        bad(f"{alignment} {problem}", value.start, ALIGNMENT_KEY, alignment)
    return alignment


def alignment_problem(alignment: int) -> str:
    """What is wrong with an alignment, if anything."""
    if alignment < 1 or alignment & (alignment - 1):
        return "is no power of two: choose one, such as 32"
    if alignment > MAX_ALIGNMENT:
        return f"is more than the limit of {MAX_ALIGNMENT}: choose a smaller one, such as 32"
    return ""


# ---- tensors


class Record(NamedTuple):
    """What the header says of a tensor; its offset is that among the tensors' bytes."""

    name: str
    shape: tuple[int, ...]
    quant: type[Quant]
    n_bytes: int
    offset: int
    at: int


def _read_tensor(cursor: Cursor, known: dict[str, Record], expected: int) -> Record:
    record = cursor.at
    name = cursor.name("tensor name", MAX_NAME_BYTES)
    if name in known:
        bad(f"{name!r} is there twice: rename one", record, "tensor name", name)
    at = cursor.at
    n_dims = cursor.u32("n_dims")
    if n_dims > MAX_DIMENSIONS:
        bad(f"{name!r} has {n_dims} dimensions, and the limit is {MAX_DIMENSIONS}: reshape it",
            at, "n_dims", n_dims)  # fmt: skip
    at = cursor.at
    if at + 8 * n_dims + 12 > cursor.size:
        for _ in range(n_dims):
            cursor.u64("shape")
        cursor.take(4, "quant")
        cursor.take(8, "offset")
    *sizes, number, offset = cursor.order.records[n_dims].unpack_from(cursor.view, at)
    cursor.at = at + 8 * n_dims + 12
    shape = tuple(reversed(sizes))
    if problem := shape_problem(shape):
        bad(f"{name!r} of {shape} {problem}", at, "shape", shape)
    at += 8 * n_dims
    try:
        quant = quants.get(number)
    except UnsupportedError:
        bad(f"{name!r} has ggml type {number}, which does not exist: convert the model again, or "
            f"update llamapy", at, "quant", number)  # fmt: skip
    try:
        row_bytes = quant.row_bytes(shape[-1] if shape else 1)
    except ShapeError as error:
        bad(f"{name!r}: {error}", at, "quant", shape)
    n_bytes = row_bytes
    for size in shape[:-1]:
        n_bytes *= size
    at += 4
    if offset != expected:
        bad(f"{name!r} is at {offset}, and the tensors before it end at {expected}: they must "
            f"follow each other; write the file again", at, "offset", offset)  # fmt: skip
    return Record(name, shape, quant, n_bytes, offset, record)


def shape_problem(shape: tuple[int, ...]) -> str:
    """What is wrong with a shape, if anything."""
    total = 1
    for size in reversed(shape):
        if size > MAX_VALUES:
            return "has a negative size: convert the model again"
        total *= size or 1
        if total > MAX_VALUES:
            return f"has more than {MAX_VALUES} values: convert the model again"
    if total > MAX_EMPTY_VALUES and 0 in shape:
        return "is empty, and its other sizes are impossible: convert the model again"
    return ""
