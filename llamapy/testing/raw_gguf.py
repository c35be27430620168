"""The pieces of a GGUF file as bytes, with nothing checked: for tests that need a wrong one."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

UINT8, INT32, UINT32, FLOAT32, BOOL, STRING, ARRAY, UINT64 = 0, 5, 4, 6, 7, 8, 9, 10
UINT16, FLOAT64 = 2, 12
F32, F16, Q4_0, Q8_0, I8, I64 = 0, 1, 2, 8, 24, 27
ALIGNMENT = "general.alignment"
HUGE = 2**64 - 1


def u32(value: int) -> bytes:
    return struct.pack("<I", value & 0xFFFFFFFF)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value & HUGE)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return u64(len(raw)) + raw


def entry(key: str | bytes, kind: int, payload: bytes) -> bytes:
    return text(key) + u32(kind) + payload


def number(key: str, value: int = 5) -> bytes:
    return entry(key, UINT32, u32(value))


def array(kind: int, count: int, payload: bytes = b"") -> bytes:
    return u32(kind) + u64(count) + payload


def record(
    name: str | bytes = "t", sizes: Sequence[int] = (8,), kind: int = F32, offset: int = 0
) -> bytes:
    """A tensor's record; `sizes` in the order of the file, the length of a row first."""
    return text(name) + u32(len(sizes)) + b"".join(map(u64, sizes)) + u32(kind) + u64(offset)


def header(n_tensors: int, n_keys: int, version: int = 3, magic: bytes = b"GGUF") -> bytes:
    return magic + u32(version) + u64(n_tensors) + u64(n_keys)


def file(
    *entries: bytes, tensors: Sequence[bytes] = (), data: bytes | None = None, alignment: int = 32
) -> bytes:
    """A file of these keys and tensors; without `data`, 32 bytes for each tensor."""
    whole = header(len(tensors), len(entries)) + b"".join(entries) + b"".join(tensors)
    if tensors:
        whole += bytes(-len(whole) % alignment)
    return whole + (bytes(32 * len(tensors)) if data is None else data)


def big_endian() -> bytes:
    """A big-endian file with a number, an array and a tensor of ones."""
    whole = b"GGUF" + struct.pack(">IQQ", 3, 1, 2)
    whole += struct.pack(">Q1sII", 1, b"n", UINT32, 5)
    whole += struct.pack(">Q1sIIQ3H", 1, b"a", ARRAY, UINT16, 3, 1, 2, 3)
    whole += struct.pack(">Q1sIQIQ", 1, b"t", 1, 8, F32, 0)
    return whole + bytes(-len(whole) % 32) + np.ones(8, ">f4").tobytes()


ALL_TYPES = b"".join(
    entry(f"key_{kind}", kind, payload)
    for kind, payload in enumerate(
        (b"\1", b"\2", b"\3\0", b"\4\0", u32(5), u32(6), struct.pack("<f", 7.5), b"\1", text("x"),
         array(STRING, 2, text("ab") + text("")), u64(8), u64(9), struct.pack("<d", 10.5))
    )
)  # fmt: skip
