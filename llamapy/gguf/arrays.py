"""Arrays of strings and of arrays, found by their offsets and decoded an element at a time."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
from .source import Source
from .types import LITTLE, MAX_STRING_BYTES, AnyType, ArrayType, ByteOrder, ValueType

Offsets = NDArray[np.int64]
NONE: Offsets = np.empty(0, np.int64)

# strings that are decoded, or walked over, at a time, and bytes that are searched for lengths
RUN = 4096
BLOCK = 1 << 18
# fewer strings are not worth the search
MANY = 1024
# the eight bytes before each string, once its length is not needed any more
GAP = bytes(8)


def scan_strings(view: memoryview, at: int, count: int, order: ByteOrder) -> Offsets:
    """Where each of `count` strings begins, then where the text of one more would begin.

    Only lengths are read; no string becomes a Python object.
    """
    parts, left = [], count
    first = at
    try:
        while left:
            places = NONE
            if left >= MANY and order is LITTLE:
                places = _short_strings(view, at, left)
            if len(places) < MANY // 16:
                places = _walk(view, at, min(left, RUN), order)
            parts.append(places)
            left -= len(places)
            last = int(places[-1])
            at = last + order.u64.unpack_from(view, last - 8)[0]
    except (struct.error, OverflowError):
        raise _bad_string(view, first, count, order) from None
    if at > view.nbytes:
        raise _bad_string(view, first, count, order)
    starts = np.concatenate([*parts, np.array([at + 8], np.int64)])
    if count and (longest := int(np.diff(starts).argmax())) >= 0:
        length = int(starts[longest + 1] - starts[longest]) - 8
        if problem := string_problem(length, length):
            raise FormatError(
                f"string {longest} of {count} of an array {problem}",
                offset=int(starts[longest]) - 8,
                field="string length",
                value=length,
            )
    return starts


def _walk(view: memoryview, at: int, count: int, order: ByteOrder) -> Offsets:
    """Where strings begin: each length says where the next one is."""

    def starts() -> Iterator[int]:
        length = order.u64.unpack_from
        start = at + 8
        for _ in repeat(None, count):
            yield start
            start += length(view, start - 8)[0] + 8

    return np.fromiter(starts(), np.int64, count)


def _short_strings(view: memoryview, at: int, count: int) -> Offsets:
    """Where strings of 1 to 255 bytes begin, up to the first that is none, or has zeros in it.

    There only a length is followed by seven zeros, so that all are found at once; each must lead
    to the next one.
    """
    data = np.frombuffer(view[at : at + BLOCK], np.uint8)
    zero = data == 0
    two = zero[1:-1] & zero[2:]
    four = two[:-2] & two[2:]
    places = np.flatnonzero(four[:-3] & four[3:])[:count]
    if not len(places) or places[0]:
        return NONE
    wrong = places[:-1] + 8 + data[places[:-1]] != places[1:]
    certain = 1 + int(wrong.argmax()) if wrong.any() else len(places)
    return places[:certain] + (at + 8)


def _bad_string(view: memoryview, at: int, count: int, order: ByteOrder) -> FormatError:
    """Which string of the array it was that does not fit."""
    length = order.u64.unpack_from
    index, previous = 0, at
    try:
        while index < count:
            previous, at = at, at + 8 + length(view, at)[0]
            index += 1
    except (struct.error, OverflowError):
        if at <= view.nbytes:
            return FormatError(
                f"the file ends inside string {index} of {count} of an array: get the file again",
                offset=at,
                field="string length",
            )
    # the string before it led out of the file
    value = length(view, previous)[0]
    problem = string_problem(value, view.nbytes - previous - 8)
    return FormatError(
        f"string {index - 1} of {count} of an array {problem}",
        offset=previous,
        field="string length",
        value=value,
    )


def string_problem(length: int, left: int) -> str:
    """What is wrong with a string of this length when so many bytes are left."""
    if length > MAX_STRING_BYTES:
        return f"has {length} bytes, and the limit is {MAX_STRING_BYTES}: the file is damaged"
    if length > left:
        return f"has {length} bytes, and only {left} are left: get the file again"
    return ""


def decode_text(view: memoryview, start: int, stop: int) -> str:
    """The text of these bytes, which must be UTF-8."""
    try:
        return str(view[start:stop], "utf-8")
    except UnicodeDecodeError as error:
        at = start + error.start
        raise FormatError(
            f"byte {view[at]:#04x} is not UTF-8: read the bytes with .raw(), or mend the file",
            offset=at,
            field="string",
            value=bytes(view[start : min(stop, start + 64)]),
        ) from None


def _decode_run(view: memoryview, starts: Offsets) -> Iterable[str]:
    """The texts of strings that stand one after the other."""
    first = int(starts[0])
    data = np.array(view[first : int(starts[-1]) - 8], np.uint8)
    gaps = starts[1:-1] - (first + 8)
    data[gaps[:, None] + np.arange(8)] = 0
    # where no text has zeros in it, gaps part them, and all can be decoded in one go
    if np.count_nonzero(data) == len(data) - 8 * len(gaps):
        with contextlib.suppress(UnicodeDecodeError):
            return data.tobytes().decode().split(GAP.decode())
    # one at a time, also to name the byte that is not UTF-8
    return (decode_text(view, a, b - 8) for a, b in pairwise(starts.tolist()))


class Strings(Sequence[str]):
    """An array of strings; one is decoded when it is asked for, and must then be UTF-8."""

    __slots__ = ("_source", "_starts")

    def __init__(self, source: Source, starts: Offsets) -> None:
        self._source, self._starts = source, starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        self._source.check()
        return decode_text(self._source.view, *self._span(index))

    def raw(self, index: int) -> bytes:
        """One string's bytes, whatever they are."""
        self._source.check()
        start, stop = self._span(index)
        return bytes(self._source.view[start:stop])

    def _span(self, index: int) -> tuple[int, int]:
        index = range(len(self))[index]
        return int(self._starts[index]), int(self._starts[index + 1]) - 8

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), RUN):
            self._source.check()
            yield from _decode_run(self._source.view, self._starts[first : first + RUN + 1])

    def tolist(self) -> list[str]:
        """All of them, decoded."""
        return list(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} strings>"


class Array(Sequence[Any]):
    """An array of arrays; each is decoded when it is asked for."""

    __slots__ = ("_element", "_source", "_starts")

    def __init__(self, source: Source, starts: Offsets, element: ArrayType) -> None:
        self._source, self._starts, self._element = source, starts, element

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        start, stop = int(self._starts[index]), int(self._starts[index + 1])
        return decode_array(self._source, start, stop, self._element)

    def n_arrays(self) -> int:
        """How many arrays are in it, at all depths."""
        return len(self) + sum(inner.n_arrays() for inner in self if isinstance(inner, Array))

    def tolist(self) -> list[Any]:
        """All of them, as lists of plain Python values."""
        return [inner.tolist() for inner in self]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        return len(self) == len(other) and all(map(same_array, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} arrays>"


def same_array(a: Any, b: Any) -> bool:
    """Whether two arrays of any kind hold the same values; NaN equals NaN."""
    lazy = isinstance(a, (Strings, Array)) or isinstance(b, (Strings, Array))
    if not lazy and (isinstance(a, np.ndarray) or isinstance(b, np.ndarray)):
        a, b = np.asarray(a), np.asarray(b)
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f"))
    return isinstance(b, Sequence) and bool(a == b)


def decode_array(
    source: Source, start: int, stop: int, kind: AnyType, starts: Offsets | None = None
) -> Any:
    """The array at these bytes: numbers as an ndarray, anything else as a lazy sequence."""
    source.check()
    assert isinstance(kind, ArrayType)
    element, order = kind.element, source.order
    dtype = None if isinstance(element, ArrayType) else order.dtypes.get(element)
    if dtype is not None:
        count = (stop - start - 12) // dtype.itemsize
        if not count:
            numbers = np.empty(0, dtype)
        else:
            numbers = np.frombuffer(source.view, dtype, count, start + 12)
        if element is ValueType.BOOL:  # any byte but 0 is true
            return numbers != 0 if count and numbers.max() > 1 else numbers.view(np.bool_)
        return numbers.astype(dtype.newbyteorder("="), copy=False)
    if starts is None:
        count = order.u64.unpack_from(source.view, start + 4)[0]
        starts = scan(source.view, start + 12, count, element, order)
    if isinstance(element, ArrayType):
        return Array(source, starts, element)
    if element is ValueType.ARRAY:
        return Array(source, starts, kind)  # empty
    return Strings(source, starts)


def scan(view: memoryview, at: int, count: int, element: AnyType, order: ByteOrder) -> Offsets:
    """Where each element of an array of strings or arrays begins; its bytes were checked before."""
    if not isinstance(element, ArrayType):
        return scan_strings(view, at, count, order)
    starts = [at]
    for _ in range(count):
        at = _array_end(view, at, element, order)
        starts.append(at)
    return np.array(starts, np.int64)


def _array_end(view: memoryview, at: int, kind: ArrayType, order: ByteOrder) -> int:
    count = order.u64.unpack_from(view, at + 4)[0]
    element = kind.element
    dtype = None if isinstance(element, ArrayType) else order.dtypes.get(element)
    if dtype is not None:
        return at + 12 + count * dtype.itemsize
    starts = scan(view, at + 12, count, element, order)
    return int(starts[-1]) - (0 if isinstance(element, ArrayType) else 8)
