"""A tensor in a file: its name, shape, block format, and the bytes themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..quants.base import Quant
from .source import Source
from .types import LITTLE

# Types whose bytes NumPy reads as they are. All others decode to float32.
PLAIN = {"F32": "f4", "F16": "f2", "F64": "f8", "I8": "i1", "I16": "i2", "I32": "i4", "I64": "i8"}


@dataclass(frozen=True, slots=True, eq=False)
class TensorInfo:
    """A tensor in a file. The shape is NumPy's: rows first, weights of one row last."""

    name: str
    shape: tuple[int, ...]
    quant: type[Quant]
    n_bytes: int
    offset: int
    source: Source = field(repr=False)

    @property
    def n_values(self) -> int:
        """How many weights there are."""
        return math.prod(self.shape)

    @property
    def raw(self) -> NDArray[np.uint8]:
        """The bytes of the file, uint8 [..., row_bytes]; nothing is copied."""
        self.source.check()
        view = self.source.view[self.offset : self.offset + self.n_bytes]
        raw = np.frombuffer(view, np.uint8) if self.n_bytes else np.empty(0, np.uint8)
        n_cols = self.shape[-1] if self.shape else 1
        return raw.reshape(*self.shape[:-1], self.quant.row_bytes(n_cols))

    def blocks(self) -> NDArray[Any]:
        """The blocks as an array of the format's layout, [..., n_blocks], in the file's order."""
        layout = self.quant.layout
        return self.raw.view(layout if self.source.order is LITTLE else layout.newbyteorder(">"))

    def encoded(self) -> NDArray[np.uint8]:
        """The bytes in the little-endian order that block formats are defined in."""
        if self.source.order is LITTLE:
            return self.raw
        return self.blocks().astype(self.quant.layout).view(np.uint8)

    def numpy(self) -> NDArray[Any]:
        """The values: plain numbers as they are, without a copy if possible; others as float32."""
        if code := PLAIN.get(self.quant.name):
            numbers = self.raw.view(self.source.order.prefix + code).reshape(self.shape)
            return numbers.astype(code, copy=False)
        return self.quant.dequantize(self.encoded(), self.shape)

    @property
    def n_rows(self) -> int:
        """How many rows there are; a vector is one."""
        return math.prod(self.shape[:-1])

    def encoded_rows(self, first: int, last: int) -> NDArray[np.uint8]:
        """A copy of the bytes of some rows, [last - first, row_bytes], little-endian."""
        n_cols = self.shape[-1] if self.shape else 1
        row_bytes = self.quant.row_bytes(n_cols)
        if self.source.readable and self.source.order is LITTLE:
            out = np.empty((last - first, row_bytes), np.uint8)
            self.source.read(self.offset + first * row_bytes, out.reshape(-1).data)
            return out
        blocks = self.blocks().reshape(self.n_rows, n_cols // self.quant.block)[first:last]
        encoded = np.ascontiguousarray(blocks.astype(self.quant.layout, copy=False))
        return encoded.view(np.uint8).reshape(last - first, row_bytes)

    def rows(self, first: int, last: int, *, threads: int | None = None) -> NDArray[np.float32]:
        """Some rows as float32 [last - first, n_cols]; only these are read and decoded."""
        return self.quant.dequantize(self.encoded_rows(first, last), threads=threads)

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape)) or "one value"
        return f"<tensor {self.name!r}: {self.quant.name} {size}, {self.n_bytes} bytes>"
