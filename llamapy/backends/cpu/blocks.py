"""Memory in a block format: weights in the layout that products like, a cache in rows."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UnsupportedError
from ...quants.base import Quant
from . import packing
from .formats import LAYOUTS
from .kernel import aligned_bytes

Bytes = NDArray[np.uint8]


class Blocks:
    """Rows of blocks, [..., row_bytes], of which it has one form at a time.

    What is put here is packed at once, for it is most likely a matrix; what was made empty, or is
    written to or read as cells, is rows. Once a compiled plan has used a form, it stays.
    """

    def __init__(self, quant: type[Quant], rows: Bytes, *, pack: bool = False) -> None:
        self.quant, self.lead, self.row_bytes = quant, rows.shape[:-1], rows.shape[-1]
        self.pinned = False
        self._lock = threading.Lock()
        self._rows: Bytes | None = rows
        self._packed: Bytes | None = None
        if pack and quant.name in LAYOUTS and rows.ndim in (2, 3):
            self.packed  # noqa: B018

    @property
    def columns(self) -> int:
        layout = self.quant
        return self.row_bytes // layout.layout.itemsize * layout.block

    @property
    def matrix_bytes(self) -> int:
        """Packed bytes of one matrix, of several."""
        return LAYOUTS[self.quant.name].packed_bytes(self.lead[-1], self.columns)

    @property
    def rows(self) -> Bytes:
        """The bytes as the file has them, to be read and written in place."""
        with self._lock:
            if self._rows is None:
                self._check_free()
                self._rows = self._unpacked()
                self._packed = None
            return self._rows

    @property
    def packed(self) -> Bytes:
        """The bytes in their layout; of several matrices, one after the other."""
        with self._lock:
            if self._packed is None:
                self._check_free()
                self._packed = self._pack()
                self._rows = None
            return self._packed

    def copy(self) -> Bytes:
        """The bytes as the file has them, to look at."""
        with self._lock:
            return self._unpacked() if self._rows is None else self._rows

    def _check_free(self) -> None:
        if self.pinned:
            raise UnsupportedError(
                f"a plan uses these rows of {self.quant.name} in another form: put them into "
                f"memory a second time, once as weights and once as cells"
            )

    def _pack(self) -> Bytes:
        assert self._rows is not None
        layout = LAYOUTS[self.quant.name]
        matrices = self._rows.reshape(-1, *self._rows.shape[-2:])
        if len(matrices) == 1:
            return packing.pack(layout, matrices[0], self.columns)
        size = self.matrix_bytes
        packed = aligned_bytes(size * len(matrices))
        for k, matrix in enumerate(matrices):
            packed[k * size : (k + 1) * size] = packing.pack(layout, matrix, self.columns)
        return packed

    def _unpacked(self) -> Bytes:
        assert self._packed is not None
        layout, n_rows, size = LAYOUTS[self.quant.name], self.lead[-1], self.matrix_bytes
        count = int(np.prod(self.lead[:-1], dtype=np.int64))
        parts = [
            packing.unpack(layout, self._packed[k * size : (k + 1) * size], n_rows, self.columns)
            for k in range(count)
        ]
        stacked: Any = np.concatenate(parts) if parts else np.empty(0, np.uint8)
        return np.ascontiguousarray(stacked).reshape(*self.lead, self.row_bytes)
