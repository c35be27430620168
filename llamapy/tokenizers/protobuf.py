"""Messages of Google's protocol buffers, read without their description."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..errors import FormatError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: an int, or the bytes of a text, a message or a number."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == VARINT:
            number, at = _varint(data, at)
            yield tag >> 3, number
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise FormatError(
                "a field of a kind that there is not: the file is no SentencePiece model",
                offset=start,
                field=f"field {tag >> 3}",
                value=kind,
            )
        if size > len(data) - at:
            raise FormatError(
                f"{size} bytes are announced and {len(data) - at} are left: download it again",
                offset=start,
                field=f"field {tag >> 3}",
                value=size,
            )
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of 7 bits per byte, and where it ends."""
    value = 0
    for place in range(MAX_VARINT_BYTES):
        if at + place >= len(data):
            break
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + place + 1
    raise FormatError("a number that does not end: download the file again", offset=at)


def number(value: int | memoryview) -> int:
    """A field that is to be a number, with its sign."""
    if not isinstance(value, int):
        raise FormatError("bytes where a number should be: the file is no SentencePiece model")
    return value - (1 << 64) if value >> 63 else value


def real(value: int | memoryview) -> float:
    """A field that is to be a 32-bit floating-point number."""
    if isinstance(value, int) or len(value) != 4:
        raise FormatError("no float where one should be: the file is no SentencePiece model")
    return float(struct.unpack("<f", value)[0])


def content(value: int | memoryview) -> memoryview:
    """A field that is to be bytes."""
    if isinstance(value, int):
        raise FormatError("a number where bytes should be: the file is no SentencePiece model")
    return value
