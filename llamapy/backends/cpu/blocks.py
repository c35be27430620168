"""Memory in a block format: weights in the layout that products like, a cache in that of attention.

Rows of blocks, [..., row_bytes], have one form at a time:

    rows     as the file has them
    packed   a matrix, or several, in the layout of its format
    keys     cells [cells, heads, row_bytes] as attention likes keys: 32 cells of a head are a
             matrix in the layout of its format, so that a register has a number of each of 16 keys
    values   the same cells as attention likes values: 32 cells of a head are rows in one piece
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UnsupportedError
from ...quants.base import Quant
from . import packing
from .cells import TILE, WRITE
from .formats import LAYOUTS
from .kernel import aligned_bytes
from .large_pages import weight_bytes

Bytes = NDArray[np.uint8]


class Blocks:
    """Rows of blocks in one of their forms, which changes when another is asked for.

    What is put here is packed at once, for it is most likely a matrix; what was made empty takes
    the first form that it is asked for. Once a compiled plan has used a form, it stays.
    """

    def __init__(
        self, quant: type[Quant], rows: Bytes, *, pack: bool = False, empty: bool = False
    ) -> None:
        self.quant, self.lead, self.row_bytes = quant, rows.shape[:-1], rows.shape[-1]
        self.pinned = False
        self.form = "rows"
        self._data, self._empty = rows, empty
        self._lock = threading.Lock()
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
    def is_tiled(self) -> bool:
        """Whether there are forms for attention: cells of a known format, in groups of 32."""
        whole = len(self.lead) == 2 and self.lead[0] % TILE == 0 and self.columns % 8 == 0
        return whole and self.quant.name in WRITE

    @property
    def is_laid_out(self) -> bool:
        """Whether attention has them in one of its forms."""
        return self.form in ("keys", "values")

    @property
    def rows(self) -> Bytes:
        """The bytes as the file has them, to be read and written in place."""
        return self._in("rows")

    @property
    def packed(self) -> Bytes:
        """The bytes in their layout; of several matrices, one after the other."""
        return self._in("packed")

    @property
    def keys(self) -> Bytes:
        """The cells as attention likes keys."""
        return self._in("keys")

    @property
    def values(self) -> Bytes:
        """The cells as attention likes values."""
        return self._in("values")

    def copy(self) -> Bytes:
        """The bytes as the file has them, to look at."""
        with self._lock:
            return self._to_rows(self._data)

    def take(self, cells: Any) -> Bytes:
        """Some rows along the first axis, to look at."""
        with self._lock:
            if not self.is_laid_out:
                return self._to_rows(self._data)[cells]
            tiles, inside, where = self._tiles_of(cells)
            rows = self._to_rows(self._tiles[tiles])
            return rows.reshape(len(tiles), TILE, *rows.shape[1:])[where, inside]

    def put(self, cells: Any, rows: Bytes) -> None:
        """Replace some rows along the first axis."""
        with self._lock:
            self._empty = False
            if self.form == "packed":
                self._change("rows")
            if self.form == "rows":
                self._data[cells] = rows
                return
            tiles, inside, where = self._tiles_of(cells)
            old = self._to_rows(self._tiles[tiles])
            old.reshape(len(tiles), TILE, *old.shape[1:])[where, inside] = rows
            self._tiles[tiles] = self._from_rows(self.form, old).reshape(len(tiles), -1)

    # ---- forms

    def _in(self, form: str) -> Bytes:
        with self._lock:
            if self.form != form:
                self._change(form)
            self._empty = False
            return self._data

    def _change(self, form: str) -> None:
        if self.pinned:
            raise UnsupportedError(
                f"a plan uses these rows of {self.quant.name} in another form: put them into "
                f"memory a second time, once as weights and once as cells"
            )
        if self._empty and form in ("keys", "values"):
            self._data = self._data.reshape(-1)  # zeros are zeros in every form
        else:
            self._data = self._from_rows(form, self._to_rows(self._data))
        self.form = form

    @property
    def _tiles(self) -> Bytes:
        return self._data.reshape(self.lead[0] // TILE, -1)

    def _tiles_of(self, cells: Any) -> tuple[Any, Any, Any]:
        """The tiles that some cells are in, each one's place there, and its tile's among them."""
        cells = np.arange(self.lead[0])[cells]
        tiles, where = np.unique(cells // TILE, return_inverse=True)
        return tiles, cells % TILE, where

    def _from_rows(self, form: str, rows: Bytes) -> Bytes:
        if form == "rows":
            return rows
        if form == "packed":
            return self._pack(rows)
        heads, size = self.lead[1], self.row_bytes
        tiled = rows.reshape(-1, TILE, heads, size).swapaxes(1, 2)
        if form == "keys":
            return packing.pack(LAYOUTS[self.quant.name], tiled.reshape(-1, size), self.columns)
        laid = aligned_bytes(rows.size)
        laid.reshape(tiled.shape)[...] = tiled
        return laid

    def _to_rows(self, data: Bytes) -> Bytes:
        """What the rows are of all that there is, or of some tiles."""
        if self.form == "rows":
            return data
        if self.form == "packed":
            return self._unpacked(data)
        heads, size = self.lead[1], self.row_bytes
        data = data.reshape(-1)
        if self.form == "keys":
            layout, count = LAYOUTS[self.quant.name], data.size // max(1, size)
            data = packing.unpack(layout, data, count, self.columns)
        tiled = data.reshape(-1, heads, TILE, size).swapaxes(1, 2)
        return np.ascontiguousarray(tiled).reshape(-1, heads, size)

    def _pack(self, rows: Bytes) -> Bytes:
        layout = LAYOUTS[self.quant.name]
        matrices = rows.reshape(-1, *rows.shape[-2:])
        size = self.matrix_bytes
        packed = weight_bytes(size * len(matrices))
        for k, matrix in enumerate(matrices):
            packing.pack(layout, matrix, self.columns, out=packed[k * size : (k + 1) * size])
        return packed

    def _unpacked(self, packed: Bytes) -> Bytes:
        layout, n_rows, size = LAYOUTS[self.quant.name], self.lead[-1], self.matrix_bytes
        count = int(np.prod(self.lead[:-1], dtype=np.int64))
        parts = [
            packing.unpack(layout, packed[k * size : (k + 1) * size], n_rows, self.columns)
            for k in range(count)
        ]
        stacked: Any = np.concatenate(parts) if parts else np.empty(0, np.uint8)
        return np.ascontiguousarray(stacked).reshape(*self.lead, self.row_bytes)
