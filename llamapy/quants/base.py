"""A block format: how a run of weights becomes bytes and back.

A format is a class that is never instantiated. Its `layout`, a NumPy dtype, is the size table, the
view of a file's bytes and the C struct at once; `decode` and `encode` say in NumPy what the bytes
mean. Kernels in `kernels/`, where there is one of the format's name, are faster copies of the two,
and tests hold them to the same bits.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import threads as pool
from ..errors import QuantizationError, ShapeError, UnsupportedError

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]
Blocks: TypeAlias = NDArray[np.void]

# One thread's piece of work: small enough to share well and to answer Ctrl-C, yet worth the call.
DECODED_AT_ONCE, ENCODED_AT_ONCE = 1 << 18, 1 << 16

_by_id: dict[int, type[Quant]] = {}
_by_name: dict[str, type[Quant]] = {}
_has_kernels: dict[str, bool] = {}


class Quant:
    """A block format. Subclass it, with the ggml type number as `id`, and it is registered.

    `decode(blocks)` takes an array of `layout` and gives float32 [n_blocks, block].
    `encode(rows, importance)` takes float32 [n_rows, n_cols], n_cols a multiple of `block`, and
    importance weights float32 [n_cols] or None, and gives an array of `layout`
    [n_rows, n_cols // block].
    """

    id: ClassVar[int]
    name: ClassVar[str]
    block: ClassVar[int]
    layout: ClassVar[np.dtype[Any]]
    dot_with: ClassVar[str] = "F32"
    importance: ClassVar[Literal["ignored", "optional", "required"]] = "ignored"

    def __init_subclass__(cls, id: int | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if id is None:
            return  # a shared base of several formats
        cls.id, cls.name = id, cls.__name__
        for other in (_by_id.get(cls.id), _by_name.get(cls.name)):
            # running a notebook cell again defines the same class again, which is no conflict
            if other is not None and (other.__module__, other.__qualname__) != (
                cls.__module__,
                cls.__qualname__,
            ):
                raise UnsupportedError(
                    f"block format {cls.name} has id {cls.id}, but {other.__module__}."
                    f"{other.__qualname__} is {other.name} and has {other.id}: choose others"
                )
        _by_id[cls.id] = _by_name[cls.name] = cls

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        """The definition: the weights of each block."""
        raise UnsupportedError("this block format has no decoder")

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        """The definition: the blocks of each row."""
        raise UnsupportedError("this block format has no encoder: it can be read, not written")

    # ---- sizes

    @classmethod
    def bits_per_weight(cls) -> float:
        """Bits that one weight takes, scales included."""
        return cls.layout.itemsize * 8 / cls.block

    @classmethod
    def row_bytes(cls, n_cols: int) -> int:
        """Bytes of one row of `n_cols` weights."""
        if n_cols % cls.block:
            raise ShapeError(
                f"{cls.name} packs {cls.block} weights to a block, and a row of {n_cols} does not "
                f"divide into blocks: pad the row or choose a format with a smaller block"
            )
        return n_cols // cls.block * cls.layout.itemsize

    # ---- arrays in, arrays out

    @classmethod
    def quantize(cls, rows: Any, importance: Any = None, *, threads: int | None = None) -> Bytes:
        """Encode an array along its last axis: [..., n_cols] -> uint8 [..., row_bytes].

        `importance` weighs the columns, float [n_cols], as an importance matrix does.
        """
        rows = np.ascontiguousarray(rows, np.float32)
        if rows.ndim == 0:
            raise ShapeError(f"{cls.name}.quantize needs rows, but got a single number")
        n_cols = rows.shape[-1]
        row_bytes = cls.row_bytes(n_cols)
        weights = cls._check_importance(importance, n_cols)
        out = np.empty((*rows.shape[:-1], row_bytes), np.uint8)
        flat = rows.reshape(-1, n_cols) if rows.size else rows.reshape(0, max(n_cols, 1))
        cls._encode_rows(flat, weights, out.reshape(len(flat), row_bytes), threads)
        return out

    @classmethod
    def dequantize(
        cls, raw: Any, shape: tuple[int, ...] | None = None, *, threads: int | None = None
    ) -> Floats:
        """Decode bytes to float32 of `shape`, or without one to [..., n_cols] of a byte array."""
        raw = np.frombuffer(raw, np.uint8) if not isinstance(raw, np.ndarray) else raw
        raw = np.ascontiguousarray(raw).view(np.uint8)
        size = cls.layout.itemsize
        if raw.ndim == 0 or raw.shape[-1] % size:
            raise ShapeError(
                f"a block of {cls.name} has {size} bytes, and {raw.shape} bytes do not divide into "
                f"blocks: pass whole rows"
            )
        if shape is None:
            shape = (*raw.shape[:-1], raw.shape[-1] // size * cls.block)
        n_blocks = raw.size // size
        if int(np.prod(shape, dtype=object)) != n_blocks * cls.block:
            raise ShapeError(
                f"{n_blocks} blocks of {cls.name} hold {n_blocks * cls.block} weights, "
                f"not the {shape} asked for"
            )
        blocks = _read_only(raw.reshape(n_blocks, size))
        out = np.empty((n_blocks, cls.block), np.float32)
        kernels = cls.kernels()
        decode = getattr(kernels, "decode", None) or cls._decode_piece
        pool.run(
            lambda first, last: decode(blocks, out, first, last),
            n_blocks,
            grain=max(1, DECODED_AT_ONCE // cls.block),
            threads=threads,
        )
        return out.reshape(shape)

    @classmethod
    def kernels(cls) -> ModuleType | None:
        """The module of the format's compiled kernels, if it has one: `kernels.q4_0` for `q4_0`.

        It may define `decode(raw, out, first, last)`, over blocks uint8 [n, bytes] and float32
        [n, block], and `encode(rows, importance, out, first, last)`, over rows float32
        [n, n_cols], importance float32 [n_cols] or of length 0, and uint8 [n, row_bytes].
        """
        folder, _, own = cls.__module__.rpartition(".")
        name = f"{folder}.kernels.{own}" if folder else ""
        if name not in _has_kernels:
            try:
                _has_kernels[name] = bool(name) and importlib.util.find_spec(name) is not None
            except ModuleNotFoundError:
                _has_kernels[name] = False
        return importlib.import_module(name) if _has_kernels[name] else None

    # ---- pieces

    @classmethod
    def _check_importance(cls, importance: Any, n_cols: int) -> Floats | None:
        if importance is None:
            if cls.importance == "required":
                raise QuantizationError(
                    f"{cls.name} cannot be chosen well without importance weights: pass "
                    f"importance=, one weight for each of the {n_cols} columns"
                )
            return None
        weights = np.ascontiguousarray(importance, np.float32)
        if weights.shape != (n_cols,):
            raise ShapeError(
                f"importance has shape {weights.shape}, but the rows have {n_cols} columns: "
                f"pass one weight for each column"
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise QuantizationError(
                "importance holds a negative, infinite or NaN weight: weights are finite and >= 0"
            )
        return None if cls.importance == "ignored" else weights

    @classmethod
    def _encode_rows(
        cls, rows: Floats, importance: Floats | None, out: Bytes, threads: int | None
    ) -> None:
        """Encode rows into `out`, with the kernel if there is one."""
        encode = getattr(cls.kernels(), "encode", None)
        weights = _read_only(np.empty(0, np.float32) if importance is None else importance)
        rows = _read_only(rows)

        def piece(first: int, last: int) -> None:
            if cls.block > 1:
                cls._check_finite(rows[first:last], first)
            if encode is not None:
                encode(rows, weights, out, first, last)
            else:
                with np.errstate(all="ignore"):
                    blocks = cls.encode(rows[first:last], importance)
                out[first:last] = np.ascontiguousarray(blocks).view(np.uint8)
            if cls.block > 1:
                cls._check_scales(out[first:last], first)

        grain = max(1, ENCODED_AT_ONCE // max(1, rows.shape[1]))
        pool.run(piece, len(rows), grain=grain, threads=threads)

    @classmethod
    def _check_finite(cls, rows: Floats, first: int) -> None:
        """Refuse NaN and infinities, which would spoil a whole block."""
        finite = np.isfinite(rows)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise QuantizationError(
                f"{cls.name} cannot hold {rows[row, column]} (row {first + row}, column {column}): "
                f"a block shares one scale; remove it, or keep the tensor in F32"
            )

    @classmethod
    def _check_scales(cls, raw: Bytes, first: int) -> None:
        """Refuse blocks whose scale ran over: they would decode to infinities and NaN."""
        blocks = raw.view(cls.layout)
        for field in cls.layout.names or ():
            values = blocks[field]
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                row = first + int(np.argwhere(~np.isfinite(values))[0][0])
                raise QuantizationError(
                    f"row {row} holds values too large for {cls.name}, whose {field} is "
                    f"{values.dtype.name}: scale the tensor down, or keep it in F32"
                )

    @classmethod
    def _decode_piece(cls, raw: Bytes, out: Floats, first: int, last: int) -> None:
        with np.errstate(all="ignore"):
            out[first:last] = cls.decode(raw[first:last].view(cls.layout)[:, 0])


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The array as kernels get it: Numba compiles anew for one that may be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def ordered_sum(terms: Floats) -> Floats:
    """The sum along the last axis, strictly from left to right: np.sum adds pairwise."""
    return np.add.accumulate(terms, axis=-1, dtype=np.float32)[..., -1]
