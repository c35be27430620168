"""Metadata values: a type and its bytes, decoded when asked for, encoded when made."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from .arrays import Offsets, Strings, decode_array, decode_text, scan
from .source import Source
from .types import (
    CODES,
    FLOATS,
    INTEGERS,
    LITTLE,
    MAX_ARRAY_DEPTH,
    MAX_STRING_BYTES,
    SIZES,
    AnyType,
    ArrayType,
    ByteOrder,
    ValueType,
)


class Value:
    """A typed value, as the bytes that a file holds for it: made by `typed` or found in a file."""

    __slots__ = ("_source", "_starts", "start", "stop", "type")

    def __init__(
        self, kind: AnyType, source: Source, start: int, stop: int, starts: Offsets | None = None
    ) -> None:
        self.type, self._source, self.start, self.stop = kind, source, start, stop
        self._starts = starts

    def get(self) -> Any:
        """The plain Python value, an ndarray, or a lazy sequence of strings or arrays."""
        source, kind = self._source, self.type
        if isinstance(kind, ArrayType):
            return decode_array(source, self.start, self.stop, kind, self._starts)
        source.check()
        if kind is ValueType.STRING:
            return decode_text(source.view, self.start + 8, self.stop)
        number = np.frombuffer(source.view, source.order.dtypes[kind], 1, self.start)[0]
        return bool(number) if kind is ValueType.BOOL else number.item()

    def is_nested(self) -> bool:
        """Whether it is an array of arrays."""
        return isinstance(self.type, ArrayType) and isinstance(self.type.element, ArrayType)

    def encoded(self, order: ByteOrder = LITTLE) -> memoryview:
        """The bytes of the value in this byte order, without its type number."""
        self._source.check()
        raw = self._source.view[self.start : self.stop]
        if order is self._source.order or self.type in (ValueType.UINT8, ValueType.INT8):
            return raw
        return memoryview(_reorder(raw, self.type, self._source.order, order))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Value):
            return NotImplemented
        return self.type == other.type and self.encoded() == other.encoded()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"typed({self.type!r}, {self.get()!r})"


def typed(kind: AnyType, value: Any) -> Value:
    """A value of exactly this type. What does not fit is refused; only FLOAT32 rounds.

    >>> typed(ValueType.UINT32, 5).get()
    5
    >>> typed(ArrayType(ValueType.STRING), ["a", "b"]).get().tolist()
    ['a', 'b']
    """
    if isinstance(value, Value):
        if value.type == kind:
            return value
        value = value.get()
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value[()]
    depth, element = 0, kind
    while isinstance(element, ArrayType):
        depth, element = depth + 1, element.element
    if depth > MAX_ARRAY_DEPTH:
        raise UnsupportedError(
            f"{kind!r} nests {depth} arrays, and a file may nest {MAX_ARRAY_DEPTH}: flatten it"
        )
    if not isinstance(kind, (ValueType, ArrayType)) or kind is ValueType.ARRAY:
        raise UnsupportedError(f"{kind!r} is no type of value: name a ValueType or an ArrayType")
    raw = _encode(kind, value)
    starts = None
    if isinstance(kind, ArrayType) and kind.element not in SIZES:
        count = LITTLE.u64.unpack_from(raw, 4)[0]
        starts = scan(memoryview(raw), 12, count, kind.element, LITTLE)
    return Value(kind, Source(raw), 0, len(raw), starts)


def infer(value: Any) -> AnyType:
    """The type that a plain Python value is written as.

    bool gives BOOL, str STRING, float FLOAT32; int the first of INT32, UINT32, INT64, UINT64 that
    holds it; an ndarray or NumPy number its own dtype; a list an array of what holds all its items.
    """
    if isinstance(value, Value):
        return value.type
    if isinstance(value, (Strings, str)):
        return ValueType.STRING if isinstance(value, str) else ArrayType(ValueType.STRING)
    if isinstance(value, (np.generic, np.ndarray)):
        kind: AnyType = _of_dtype(value.dtype)
        for _ in range(value.ndim):
            kind = ArrayType(kind)
        return kind
    if isinstance(value, bool):
        return ValueType.BOOL
    if isinstance(value, int):
        return _integer_type(value, value)
    if isinstance(value, float):
        return ValueType.FLOAT32
    if _is_list(value):
        return ArrayType(_common_type(value))
    raise UnsupportedError(
        f"a file cannot hold {type(value).__name__} {value!r:.80}: pass a number, bool, string or "
        f"a list of them, or typed(type, value)"
    )


def _is_list(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(
        value, (str, bytes, bytearray, memoryview)
    )


def _of_dtype(dtype: np.dtype[Any]) -> ValueType:
    if dtype.kind == "b":
        return ValueType.BOOL
    if dtype.kind == "U":
        return ValueType.STRING
    for kind, code in CODES.items():
        if kind is not ValueType.BOOL and code == f"{dtype.kind}{dtype.itemsize}":
            return kind
    raise UnsupportedError(
        f"metadata has no type for {dtype}: convert the array to a whole number or float32/64"
    )


def _integer_type(low: int, high: int) -> ValueType:
    for kind in (ValueType.INT32, ValueType.UINT32, ValueType.INT64, ValueType.UINT64):
        if INTEGERS[kind].min <= low and high <= INTEGERS[kind].max:
            return kind
    raise UnsupportedError(
        f"{low if low < 0 else high} does not fit into 64 bits: write it as text"
    )


def _common_type(items: Sequence[Any]) -> AnyType:
    if not len(items):
        raise UnsupportedError("an empty list has no type: pass typed(ArrayType(...), [])")
    if all(_is_list(item) for item in items):
        return ArrayType(_common_type([inner for item in items for inner in item]))
    kinds = [infer(item) for item in items]
    if all(kind == kinds[0] for kind in kinds):
        return kinds[0]
    if all(kind in INTEGERS for kind in kinds):
        return _integer_type(min(items), max(items))
    if all(kind in INTEGERS or kind in FLOATS for kind in kinds):
        return ValueType.FLOAT64 if ValueType.FLOAT64 in kinds else ValueType.FLOAT32
    names = sorted({repr(kind) for kind in kinds})
    raise UnsupportedError(
        f"a list is of one type, and this one mixes {', '.join(names)}: pass typed(type, value)"
    )


# ---- to bytes


def _encode(kind: AnyType, value: Any) -> bytes:
    if isinstance(kind, ArrayType):
        return _encode_array(kind.element, value)
    if kind is ValueType.STRING:
        raw = _text(value)
        return LITTLE.u64.pack(len(raw)) + raw
    return _number(kind, value).tobytes()


def _number(kind: ValueType, value: Any) -> Any:
    dtype = LITTLE.dtypes[kind]
    is_bool = isinstance(value, (bool, np.bool_))
    if kind is ValueType.BOOL:
        if is_bool:
            return dtype.type(value)
    elif kind in INTEGERS:
        if not is_bool and hasattr(value, "__index__"):
            whole = operator.index(value)
            if INTEGERS[kind].min <= whole <= INTEGERS[kind].max:
                return np.array(whole, dtype)[()]
    elif not is_bool and isinstance(value, (int, float, np.floating, np.integer)):
        with contextlib.suppress(OverflowError), np.errstate(over="ignore"):
            exact = float(value)
            number = np.array(exact, dtype)[()]
            if np.isfinite(number) or not np.isfinite(exact):
                return number
    raise UnsupportedError(
        f"{value!r:.80} does not fit into {kind.name}: pass another type or value"
    )


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise UnsupportedError(f"{value!r:.80} is no text, and the type is STRING: pass a str")
    try:
        raw = value.encode()
    except UnicodeEncodeError as error:
        raise UnsupportedError(
            f"{value!r:.80} has half of a surrogate pair at character {error.start}, which UTF-8 "
            f"cannot hold: remove it"
        ) from None
    if len(raw) > MAX_STRING_BYTES:
        raise UnsupportedError(
            f"a string has {len(raw)} bytes, and the limit is {MAX_STRING_BYTES}: shorten it"
        )
    return raw


def _encode_array(element: AnyType, value: Any) -> bytes:
    if not _is_list(value):
        raise UnsupportedError(f"{value!r:.80} is no list, and the type is an array: pass a list")
    kind = ValueType.ARRAY if isinstance(element, ArrayType) else element
    head = LITTLE.u32_u64.pack(kind, len(value))
    if isinstance(element, ArrayType):
        return head + b"".join(_encode_array(element.element, inner) for inner in value)
    if element is ValueType.ARRAY:
        if len(value):
            raise UnsupportedError("ArrayType(ARRAY) is empty: say what the inner arrays hold")
        return head
    if element is ValueType.STRING:
        length = LITTLE.u64.pack
        if isinstance(value, Strings):  # bytes that are not UTF-8 stay what they are
            texts = [value.raw(i) for i in range(len(value))]
        else:
            texts = [_text(item) for item in value]
        return head + b"".join(piece for raw in texts for piece in (length(len(raw)), raw))
    return head + _numbers(element, value).tobytes()


def _numbers(kind: ValueType, value: Any) -> np.ndarray[Any, Any]:
    """An array of this type with the same values; one that does not fit is named."""
    dtype = LITTLE.dtypes[kind]
    if not isinstance(value, np.ndarray):
        return np.array([_number(kind, item) for item in value], dtype)
    if value.ndim != 1:
        raise UnsupportedError(
            f"an array of {kind.name} has one dimension, not {value.ndim}: flatten it"
        )
    groups = {"b": (ValueType.BOOL,), "i": (*INTEGERS, *FLOATS), "f": FLOATS}
    if kind not in groups.get("i" if value.dtype.kind == "u" else value.dtype.kind, ()):
        raise UnsupportedError(f"an array of {value.dtype} is not one of {kind.name}: convert it")
    if value.dtype.kind in "iu" and kind in INTEGERS and value.size:
        _number(kind, value.min())
        _number(kind, value.max())
    with np.errstate(over="ignore"):
        numbers = value.astype(dtype)
    if kind in FLOATS:
        lost = np.isinf(numbers) & np.isfinite(value)
        if lost.any():
            _number(kind, value[lost][0])
    return numbers


# ---- to the other byte order


def _reorder(raw: memoryview, kind: AnyType, old: ByteOrder, new: ByteOrder) -> bytes:
    if kind is ValueType.STRING:
        return new.u64.pack(old.u64.unpack_from(raw)[0]) + raw[8:].tobytes()
    if not isinstance(kind, ArrayType):
        return np.frombuffer(raw, old.dtypes[kind]).astype(new.dtypes[kind]).tobytes()
    number, count = old.u32_u64.unpack_from(raw)
    head, element = new.u32_u64.pack(number, count), kind.element
    if isinstance(element, ArrayType):
        starts = scan(raw, 12, count, element, old)
        inner = (raw[a:b] for a, b in pairwise(starts))
        return head + b"".join(_reorder(piece, element, old, new) for piece in inner)
    if element is ValueType.STRING:
        swapped = np.frombuffer(raw, np.uint8).copy()
        lengths = scan(raw, 12, count, element, old)[:-1, None] - np.arange(8, 0, -1)
        swapped[lengths] = swapped[lengths[:, ::-1]]
        return head + swapped[12:].tobytes()
    if element is ValueType.ARRAY:
        return head
    return head + np.frombuffer(raw[12:], old.dtypes[element]).astype(new.dtypes[element]).tobytes()
