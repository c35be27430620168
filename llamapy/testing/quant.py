"""The contract of a block format, for formats of this package and of any other.

    from llamapy.testing import check_quant

    check_quant(MyFormat)

It holds the kernels, if there are any, to the NumPy definitions bit for bit, and both to what
readers and writers of files rely on. What fails is told in an AssertionError.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LlamapyError, QuantizationError, ShapeError, UnsupportedError
from ..quants.base import ENCODED_AT_ONCE, Bytes, Floats, Quant
from ..quants.registry import get


def check_quant(quant: type[Quant]) -> None:
    """Hold a block format to its contract; the AssertionError says in a sentence what breaks it."""
    _check_layout(quant)
    _check_decode(quant)
    if quant.encode is Quant.encode:
        return  # it can be read, not written
    rows = _rows(quant)
    weights = _importance(quant, rows.shape[1])
    for importance in [None] * (quant.importance != "required") + [weights]:
        _check_encode(quant, rows, importance)
    _check_precision(quant, rows, weights)
    _check_shapes(quant, rows, weights)
    _check_refusals(quant, rows, weights)
    _check_extremes(quant, rows, weights)


# ---- what the rows are


def _rows(quant: type[Quant]) -> Floats:
    """Rows of several kinds, at least three blocks long: whole numbers, if others are refused."""
    block = quant.block
    n_cols = max(3, -(-48 // block)) * block
    normal = np.random.default_rng(quant.id).standard_normal((10, n_cols)).astype(np.float32)
    rows = normal.copy()
    rows[1] **= 3
    rows[2] = np.rint(rows[2] * 8) / 2  # halfway between two whole numbers, often
    rows[3, block:] = 0
    rows[4] = rows[4, 0]
    rows[5] *= np.float32(1e-5)
    rows[6] *= np.float32(1e-20)
    rows[7] = np.copysign(0, rows[7])
    rows[7, : block // 2] = np.abs(normal[7, : block // 2])
    rows[8, block // 2] = 5000
    rows[9] = np.sort(rows[9])
    try:
        quant.quantize(rows, _importance(quant, rows.shape[1]))
    except QuantizationError:
        rows = np.clip(np.rint(normal * 30), -100, 100)
        try:
            quant.quantize(rows, _importance(quant, n_cols))
        except QuantizationError as error:
            raise AssertionError(f"{quant.name} refuses ordinary rows: {error}") from error
    return rows


def _importance(quant: type[Quant], n_cols: int) -> Floats:
    """Uneven weights, some of them zero."""
    weights = np.random.default_rng(quant.id + 1).standard_normal(n_cols) ** 2
    weights[::7] = 0
    return weights.astype(np.float32)


def _define(quant: type[Quant], rows: Floats, importance: Floats | None) -> Bytes:
    """The bytes that the definition gives."""
    used = None if quant.importance == "ignored" else importance
    with np.errstate(all="ignore"):
        blocks = quant.encode(rows, used)
    wanted = (len(rows), rows.shape[1] // quant.block)
    assert blocks.dtype == quant.layout, (
        f"{quant.name}.encode gives an array of {blocks.dtype}, which is not its layout"
    )
    assert blocks.shape == wanted, (
        f"{quant.name}.encode gives blocks of shape {blocks.shape} for rows of shape "
        f"{rows.shape}, which are {wanted}"
    )
    return np.ascontiguousarray(blocks).view(np.uint8)


# ---- how differences are told


def _same_bytes(got: Bytes, wanted: Bytes, what: str) -> None:
    assert got.shape == wanted.shape, f"{what}: shape {got.shape} is not {wanted.shape}"
    differ = got != wanted
    if differ.any():
        place = tuple(int(i) for i in np.argwhere(differ)[0])
        raise AssertionError(
            f"{what}: {int(differ.sum())} of {differ.size} bytes differ, the first at {place}: "
            f"{int(got[place])} is not {int(wanted[place])}"
        )


def _same_floats(got: Floats, wanted: Floats, what: str) -> None:
    """Equal to the bit, but for the payload of a NaN."""
    assert got.dtype == np.float32, f"{what}: {got.dtype} is not float32"
    assert got.shape == wanted.shape, f"{what}: shape {got.shape} is not {wanted.shape}"
    both_nan = np.isnan(got) & np.isnan(wanted)
    differ = (np.ascontiguousarray(got).view(np.uint32) != wanted.view(np.uint32)) & ~both_nan
    if differ.any():
        place = tuple(int(i) for i in np.argwhere(differ)[0])
        raise AssertionError(
            f"{what}: {int(differ.sum())} of {differ.size} weights differ, the first at {place}: "
            f"{got[place]!r} is not {wanted[place]!r}"
        )


def _must_raise(wanted: type[LlamapyError], what: str, *args: Any, **options: Any) -> None:
    """Calling the first argument with the others must raise this error, with a message."""
    function, *rest = args
    raised: Exception | None = None
    try:
        function(*rest, **options)
    except Exception as error:
        raised = error
    outcome = "is accepted" if raised is None else f"raises {raised!r}"
    assert isinstance(raised, wanted), f"{what}: {outcome}, where {wanted.__name__} is due"
    assert str(raised), f"{what}: {wanted.__name__} has no message"


# ---- the checks


def _check_layout(quant: type[Quant]) -> None:
    """The layout is the size table: packed, little-endian, and as large as the sizes say."""
    assert inspect.isclass(quant), f"{quant!r} is not a class"
    assert issubclass(quant, Quant), f"{quant.__name__} is not a Quant"
    name = quant.__name__
    assert hasattr(quant, "id"), f"{name} has no id: it is a shared base, not a format"
    for key in (quant.id, quant.name):
        found = get(key)
        assert found is quant, f"{name} is registered as {key!r}, but that gives {found.__name__}"
    assert quant.block >= 1, f"{name} has a block of {quant.block} weights"
    assert quant.importance in ("ignored", "optional", "required"), (
        f"{name}.importance is {quant.importance!r}: ignored, optional or required"
    )
    try:
        get(quant.dot_with)
    except UnsupportedError as error:
        raise AssertionError(f"{name}.dot_with names no block format: {error}") from error
    layout = quant.layout
    assert layout.names, f"{name}.layout has no named fields"
    held = sum(layout[field].itemsize for field in layout.names)
    assert held == layout.itemsize, (
        f"{name}.layout has {layout.itemsize} bytes, but its fields fill {held}: leave no holes"
    )
    for field in layout.names:
        assert layout[field].base.byteorder != ">", f"{name}.layout: {field} is big-endian"
    assert quant.row_bytes(3 * quant.block) == 3 * layout.itemsize, (
        f"{name}.row_bytes says {quant.row_bytes(3 * quant.block)} for three blocks of "
        f"{layout.itemsize}"
    )
    assert quant.bits_per_weight() == layout.itemsize * 8 / quant.block, (
        f"{name}.bits_per_weight says {quant.bits_per_weight()} for {layout.itemsize} bytes "
        f"that hold {quant.block} weights"
    )


def _check_decode(quant: type[Quant]) -> None:
    """Any bytes decode, block by block, and the kernel gives the definition's bits."""
    name, size = quant.name, quant.layout.itemsize
    raw = np.random.default_rng(quant.id).integers(0, 256, (67, size), np.uint8)
    with np.errstate(all="ignore"):
        wanted = quant.decode(raw.view(quant.layout)[:, 0])
        parts = [quant.decode(part.view(quant.layout)[:, 0]) for part in (raw[:1], raw[1:])]
    assert wanted.dtype == np.float32, f"{name}.decode gives {wanted.dtype}, not float32"
    assert wanted.shape == (67, quant.block), (
        f"{name}.decode gives shape {wanted.shape} for 67 blocks of {quant.block} weights"
    )
    wanted = np.ascontiguousarray(wanted)
    _same_floats(np.concatenate(parts), wanted, f"{name}.decode of 1 and 66 blocks, and of 67")
    for n_blocks, threads in ((1, 1), (67, 1), (67, 3)):
        got = quant.dequantize(raw[:n_blocks], threads=threads)
        what = f"{name}.dequantize of {n_blocks} blocks in {threads} threads, and its definition"
        _same_floats(got, wanted[:n_blocks], what)


def _check_encode(quant: type[Quant], rows: Floats, importance: Floats | None) -> None:
    """The kernel gives the definition's bytes, however the rows are batched and shared out."""
    how = f"{quant.name}.quantize with{'out' if importance is None else ''} importance"
    wanted = _define(quant, rows, importance)
    got = quant.quantize(rows, importance, threads=1)
    _same_bytes(got, wanted, f"{how}, and its definition")
    many = np.tile(rows, (max(1, 3 * ENCODED_AT_ONCE // rows.size), 1))
    shared = quant.quantize(many, importance, threads=3)
    _same_bytes(shared, np.tile(wanted, (len(many) // len(rows), 1)), f"{how} in 3 threads")
    for i in (0, len(rows) - 1):
        alone = quant.quantize(rows[i : i + 1], importance)
        _same_bytes(alone, wanted[i : i + 1], f"{how} of row {i} alone, and among others")
    one = np.ascontiguousarray(rows[:3, : quant.block])
    weights = None if importance is None else importance[: quant.block]
    what = f"{how} of rows of one block, and its definition"
    _same_bytes(quant.quantize(one, weights), _define(quant, one, weights), what)


def _squares(x: NDArray[Any]) -> float:
    return float((x.astype(np.float64) ** 2).sum())


def _check_precision(quant: type[Quant], rows: Floats, weights: Floats) -> None:
    """What was encoded decodes near to what it was; zeros stay zero; importance matters."""
    name, plain = quant.name, rows[:1]
    ones = np.ones_like(weights)
    restored = quant.dequantize(quant.quantize(rows, ones))
    assert np.isfinite(restored).all(), f"{name} decodes its own bytes to infinities or NaN"
    error, size = _squares(restored[:1] - plain), _squares(plain)
    assert error < size, (
        f"{name} holds a normal row with a squared error of {error:.4g}, where zeros in its place "
        f"would err by {size:.4g}"
    )
    zeros = quant.dequantize(quant.quantize(np.zeros_like(plain), ones))
    assert not zeros.any(), f"{name} decodes a row of zeros to {zeros[zeros != 0][0]!r}"
    if quant.importance == "ignored":
        _same_bytes(
            quant.quantize(rows, weights),
            quant.quantize(rows),
            f"{name} says that it ignores importance",
        )
    elif quant.importance == "optional":
        normal = np.random.default_rng(3).standard_normal((16, rows.shape[1])).astype(np.float32)
        served, unserved = (
            _squares(np.sqrt(weights) * (quant.dequantize(raw) - normal))
            for raw in (quant.quantize(normal, weights), quant.quantize(normal))
        )
        assert served <= unserved, (
            f"{name} errs by {served:.4g} under importance weights, and by {unserved:.4g} when it "
            f"is not told of them"
        )


def _check_shapes(quant: type[Quant], rows: Floats, weights: Floats) -> None:
    """Any number of dimensions, any order in memory and any kind of number go in."""
    name = quant.name
    wanted = quant.quantize(rows, weights)
    row_bytes, n_cols = wanted.shape[1], rows.shape[1]
    for shape in ((2, 5, n_cols), (10, 1, n_cols), (1, 1, 10, n_cols)):
        got = quant.quantize(rows.reshape(shape), weights)
        batched = wanted.reshape(*shape[:-1], row_bytes)
        _same_bytes(got, batched, f"{name}.quantize of shape {shape}")
        back = quant.dequantize(got)
        assert back.shape == shape, f"{name}.dequantize gives {back.shape} for {shape}"
    _same_bytes(quant.quantize(rows[0], weights), wanted[0], f"{name}.quantize of a single row")
    turned = np.asfortranarray(rows).astype(np.float64)
    _same_bytes(quant.quantize(turned, weights), wanted, f"{name}.quantize of float64 columns")
    none = quant.quantize(rows[:0], weights)
    assert none.shape == (0, row_bytes), f"{name}.quantize of no rows gives {none.shape}"
    flat = quant.dequantize(wanted.tobytes(), rows.shape)
    _same_floats(flat, quant.dequantize(wanted), f"{name}.dequantize of bytes, and of an array")


def _check_refusals(quant: type[Quant], rows: Floats, weights: Floats) -> None:
    """Wrong sizes and wrong weights are refused, and by the right error."""
    name, n_cols = quant.name, rows.shape[1]
    if quant.block > 1:
        uneven = rows[:, : n_cols - 1]
        _must_raise(
            ShapeError,
            f"{name}.quantize of rows of {n_cols - 1}",
            quant.quantize,
            uneven,
            weights[: n_cols - 1],
        )
        _must_raise(ShapeError, f"{name}.row_bytes({n_cols - 1})", quant.row_bytes, n_cols - 1)
    _must_raise(ShapeError, f"{name}.quantize of a number", quant.quantize, np.float32(1), weights)
    raw = quant.quantize(rows, weights)
    _must_raise(ShapeError, f"{name}.dequantize to a wrong shape", quant.dequantize, raw, (1, 7))
    if quant.layout.itemsize > 1:
        cut = raw.reshape(-1)[:-1]
        _must_raise(ShapeError, f"{name}.dequantize of cut bytes", quant.dequantize, cut)
    for wrong in (weights[:-1], weights[None], np.append(weights, 1)):
        what = f"{name}.quantize with importance of shape {wrong.shape}"
        _must_raise(ShapeError, what, quant.quantize, rows, wrong)
    for value in (-1, np.nan, np.inf):
        bad = weights.copy()
        bad[1] = value
        what = f"{name}.quantize with an importance of {value}"
        _must_raise(QuantizationError, what, quant.quantize, rows, bad)
    if quant.importance == "required":
        what = f"{name}.quantize without importance"
        _must_raise(QuantizationError, what, quant.quantize, rows)


def _check_extremes(quant: type[Quant], rows: Floats, weights: Floats) -> None:
    """NaN, infinities and huge numbers are kept or refused, and never spoil what is beside them."""
    name = quant.name
    for value in (np.nan, np.inf, -np.inf):
        bad = rows[:3].copy()
        bad[-1, -1] = value
        what = f"{name}.quantize of {value}"
        if quant.block > 1:
            _must_raise(QuantizationError, what, quant.quantize, bad, weights)
            continue
        try:
            back = quant.dequantize(quant.quantize(bad, weights))
        except QuantizationError:
            continue
        _same_floats(back[-1:, -1:], bad[-1:, -1:], f"{what}, and back")
    for size in (1e10, 1e30, 3e38):
        huge = np.clip(rows[:1], -1, 1) * np.float32(size)
        try:
            raw = quant.quantize(huge, weights)
        except QuantizationError:
            continue
        back = quant.dequantize(raw)
        kept = (
            np.isfinite(back).all() if quant.block > 1 else (np.sign(back) == np.sign(huge)).all()
        )
        assert kept, f"{name} neither holds nor refuses values of {size:g}"
