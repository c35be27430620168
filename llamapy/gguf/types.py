"""The words of the GGUF format: value types, byte orders, and the limits that a file must keep."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, TypeAlias

import numpy as np

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT_KEY = "general.alignment"
DEFAULT_ALIGNMENT = 32

# What a file may ask for. Counts are bounded by the bytes that are there; these bound the rest.
MAX_KEY_BYTES = 65_535
MAX_STRING_BYTES = 1 << 30
MAX_ARRAY_DEPTH = 4
MAX_INNER_ARRAYS = 8_192
MAX_KEYS = 16_384
MAX_TENSORS = 1_000_000
MAX_NAME_BYTES = 63
MAX_DIMENSIONS = 4
MAX_VALUES = (1 << 63) - 1
MAX_EMPTY_VALUES = 1 << 48  # of a tensor with a size of 0, when 1 stands in its place
MAX_ALIGNMENT = 1 << 20


class ValueType(IntEnum):
    """What a metadata value is, as the file numbers it."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


@dataclass(frozen=True, slots=True)
class ArrayType:
    """An array of one type of value, or of arrays: `ArrayType(ArrayType(ValueType.INT32))`.

    An empty array of arrays does not say what is in them: its element is `ValueType.ARRAY`.
    """

    element: ValueType | ArrayType

    def __repr__(self) -> str:
        element = self.element
        return (
            f"ArrayType({element!r})"
            if isinstance(element, ArrayType)
            else (f"ArrayType({element.name})")
        )


AnyType: TypeAlias = ValueType | ArrayType

# NumPy's codes for the types of fixed size, without the byte order
CODES = {
    ValueType.UINT8: "u1",
    ValueType.INT8: "i1",
    ValueType.UINT16: "u2",
    ValueType.INT16: "i2",
    ValueType.UINT32: "u4",
    ValueType.INT32: "i4",
    ValueType.FLOAT32: "f4",
    ValueType.BOOL: "u1",
    ValueType.UINT64: "u8",
    ValueType.INT64: "i8",
    ValueType.FLOAT64: "f8",
}
SIZES = {kind: int(code[1]) for kind, code in CODES.items()}
INTEGERS = {kind: np.iinfo(code) for kind, code in CODES.items() if code[0] in "ui"}
del INTEGERS[ValueType.BOOL]
FLOATS = (ValueType.FLOAT32, ValueType.FLOAT64)


class ByteOrder:
    """How numbers lie in a file: the structs and dtypes of one byte order."""

    def __init__(self, name: Literal["little", "big"]) -> None:
        self.name = name
        self.prefix = "<" if name == "little" else ">"
        self.u32 = struct.Struct(self.prefix + "I")
        self.u64 = struct.Struct(self.prefix + "Q")
        self.u32_u64 = struct.Struct(self.prefix + "IQ")
        # what follows the number of dimensions of a tensor: their sizes, its type, its offset
        self.records = [struct.Struct(f"{self.prefix}{n}QIQ") for n in range(MAX_DIMENSIONS + 1)]
        self.dtypes: dict[ValueType, np.dtype[Any]] = {
            kind: np.dtype(self.prefix + code) for kind, code in CODES.items()
        }

    def __repr__(self) -> str:
        return f"<{self.name}-endian>"


LITTLE = ByteOrder("little")
BIG = ByteOrder("big")
BYTE_ORDERS = {"little": LITTLE, "big": BIG}
