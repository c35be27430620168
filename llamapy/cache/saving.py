"""A sequence in a file: what was computed once need not be computed again.

    bytes   what
    16      the letters LLAMAPY SEQUENCE
    4, 4    the version of this layout, and the length of the header; little-endian
    8       the length of what follows the header
    ...     the header, JSON: the hash of the model, the layout of its memory, lengths
    ...     for each table: positions, int32; then of each memory, the bytes of their cells
            for each recurrent layer: its arrays, float32
    32      SHA-256 of all of it

The header must say what this cache would write itself, so that nothing in a file decides what is
read. Cells are in the order of their positions, in the bytes of their format, the same on every
device.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError, UnsupportedError
from ..files import replacing
from ..tensor import FLOAT32, Tensor
from .kv import read_bytes, write_bytes

if TYPE_CHECKING:
    from . import Cache

MAGIC = b"LLAMAPY SEQUENCE"
VERSION = 1
START = struct.Struct("<16sIIQ")
SUM_BYTES = 32
CELLS_PER_PIECE = 4096


def save(cache: Cache, path: str | os.PathLike[str], sequence: int) -> None:
    """Write what a cache remembers of a sequence."""
    size, write_to = _saved(cache, sequence)
    with replacing(path, size) as out:
        write_to(out)


def dump(cache: Cache, sequence: int) -> bytes:
    """The bytes that `save` would write."""
    out = io.BytesIO()
    _, write_to = _saved(cache, sequence)
    write_to(out)
    return out.getvalue()


def _saved(cache: Cache, sequence: int) -> tuple[int, Callable[[Any], None]]:
    """How many bytes a sequence takes, and what writes them."""
    held = cache.held()
    cells = [table.remembered(sequence) for table, _ in held]
    header = {
        **_expected(cache),
        "cells": [len(each) for each in cells],
        "dropped": [table.dropped(sequence) for table, _ in held],
        "end": cache.end(sequence),
    }
    text = json.dumps(header, sort_keys=True).encode()
    n_bytes = _payload_bytes(cache, header["cells"])

    def write_to(out: Any) -> None:
        checksum = hashlib.sha256()

        def write(data: Any) -> None:
            checksum.update(data)
            out.write(data)

        write(START.pack(MAGIC, VERSION, len(text), n_bytes) + text)
        for (table, memories), own in zip(held, cells, strict=True):
            write(table.positions[own])
            for memory in memories:
                for first in range(0, len(own), CELLS_PER_PIECE):
                    write(read_bytes(memory, own[first : first + CELLS_PER_PIECE]).reshape(-1))
        if cache.slots is not None:
            slot = cache.slots.snapshots(sequence)[-1].slot
            for _, part in cache.recurring:
                for array in part.get(slot).values():
                    write(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        out.write(checksum.digest())

    return START.size + len(text) + n_bytes + SUM_BYTES, write_to


def load(cache: Cache, source: str | os.PathLike[str] | bytes, sequence: int) -> None:
    """Remember what was saved, in a file or as bytes; nothing changes if it is refused."""
    if isinstance(source, bytes):
        name, data = "these bytes", memoryview(source)
    else:
        name, data = os.fspath(source), memoryview(Path(source).read_bytes())
    header, payload = _checked(name, data, _expected(cache))
    held = cache.held()
    _check_lengths(cache, name, header, len(payload))
    at = 0

    def take(n_bytes: int) -> Any:
        nonlocal at
        at += n_bytes
        return np.frombuffer(payload[at - n_bytes : at], np.uint8)

    parts: list[tuple[Any, list[Any]]] = []
    for (_, memories), n_cells in zip(held, header["cells"], strict=True):
        positions = take(4 * n_cells).view(np.int32)
        _check_positions(cache, name, positions)
        raws = [take(n_cells * _cell_bytes(m)).reshape(n_cells, m.shape[1], -1) for m in memories]
        parts.append((positions, raws))
    _check_room(cache, sequence, header["cells"])
    cache.remove(sequence)
    for (table, memories), (positions, raws), dropped in zip(
        held, parts, header["dropped"], strict=True
    ):
        cells = table.restore(sequence, positions.tolist(), dropped)
        table.upload()
        for memory, raw in zip(memories, raws, strict=True):
            for first in range(0, len(cells), CELLS_PER_PIECE):
                piece = slice(first, first + CELLS_PER_PIECE)
                write_bytes(memory, cells[piece], raw[piece])
    if cache.slots is not None:
        slot = cache.slots.restore(sequence, header["end"])
        for _, part in cache.recurring:
            arrays = {
                each: take(4 * math.prod(shape)).view(np.float32).reshape(shape)
                for each, shape in part.shapes.items()
            }
            part.put(slot, arrays)


# ---- what a file must say


def _expected(cache: Cache) -> dict[str, Any]:
    """The model and the layout of its memory, as a header has them."""
    if cache.model_hash is None or not (cache.tables or cache.slots):
        raise UnsupportedError(
            "this cache cannot be saved: it was not made by model.cache(), or its model remembers "
            "nothing"
        )
    return {
        "model": cache.model_hash(),
        "byteorder": sys.byteorder,
        "tables": [
            {"window": table.window, "memories": [_form(memory) for memory in memories]}
            for table, memories in cache.held()
        ],
        "recurrent": [
            {name: list(shape) for name, shape in part.shapes.items()}
            for _, part in cache.recurring
        ],
    }


def _form(memory: Tensor) -> list[Any]:
    """The heads of a cell, their size and their format."""
    return [*memory.shape[1:], "F32" if memory.dtype == FLOAT32 else memory.dtype.name]


def _cell_bytes(memory: Tensor) -> int:
    _, heads, size = memory.shape
    return heads * (memory.quant.row_bytes(size) if memory.quant else 4 * size)


def _payload_bytes(cache: Cache, n_cells: Sequence[int]) -> int:
    tables = sum(
        count * (4 + sum(map(_cell_bytes, memories)))
        for (_, memories), count in zip(cache.held(), n_cells, strict=True)
    )
    return tables + sum(part.n_bytes_per_slot for _, part in cache.recurring)


# ---- refusing files


def _checked(name: str, data: memoryview, expected: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The header and what follows it, of a file that is whole and fits this cache."""
    if len(data) < START.size or bytes(data[: len(MAGIC)]) != MAGIC:
        raise FormatError(f"{name} is not a saved sequence: choose a file that cache.save wrote")
    _, version, header_bytes, payload_bytes = START.unpack(data[: START.size])
    if version != VERSION:
        raise FormatError(
            f"{name} has version {version} of this layout, and this llamapy reads {VERSION}: "
            f"compute the sequence again, and save it anew"
        )
    size = START.size + header_bytes + payload_bytes + SUM_BYTES
    if size != len(data):
        raise FormatError(
            f"{name} should be {size} bytes long and has {len(data)}: it is truncated or damaged, "
            f"so compute the sequence again"
        )
    if hashlib.sha256(data[:-SUM_BYTES]).digest() != bytes(data[-SUM_BYTES:]):
        raise FormatError(
            f"{name} is damaged, for its checksum is another one: compute the sequence again"
        )
    header = _parsed(name, bytes(data[START.size : START.size + header_bytes]))
    for key, value in expected.items():
        if header.get(key) == value:
            continue
        if key == "model":
            raise UnsupportedError(
                f"{name} was saved from another model ({header.get(key)!s:.16}, and this one is "
                f"{value:.16}): load that model, or compute the sequence again"
            )
        raise UnsupportedError(
            f"{name} was saved with {key} = {header.get(key)!r:.200}, and this cache has "
            f"{value!r:.200}: make a cache with the same kv_type, or compute the sequence again"
        )
    return header, data[START.size + header_bytes : -SUM_BYTES]


def _parsed(name: str, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise FormatError(f"{name} has a header that is not one: compute the sequence again")
    return header


def _check_lengths(cache: Cache, name: str, header: dict[str, Any], n_bytes: int) -> None:
    """Refuse lengths that are none, or that do not add up to the bytes that there are."""
    n_tables = len(cache.held())
    lengths: list[Any] = [header.get("cells"), header.get("dropped")]
    lists_fit = all(isinstance(each, list) and len(each) == n_tables for each in lengths)
    numbers = [n for each in lengths for n in each] if lists_fit else []
    numbers.append(header.get("end"))
    fits = lists_fit and all(type(n) is int and 0 <= n <= cache.n_ctx for n in numbers)
    if fits and _payload_bytes(cache, header["cells"]) == n_bytes:
        return
    if lists_fit and all(type(n) is int and n >= 0 for n in numbers) and not fits:
        raise UnsupportedError(
            f"{name} holds a sequence of {header['end']} positions, and this cache has a context "
            f"of {cache.n_ctx}: make a larger one"
        )
    raise FormatError(f"{name} has lengths that do not fit: compute the sequence again")


def _check_positions(cache: Cache, name: str, positions: Any) -> None:
    inside = not len(positions) or (positions[0] >= 0 and positions[-1] < cache.n_ctx)
    if not inside or (np.diff(positions) < 1).any():
        raise FormatError(f"{name} has positions that do not grow: compute the sequence again")


def _check_room(cache: Cache, sequence: int, n_cells: Sequence[int]) -> None:
    """Refuse what would not fit even after this sequence was forgotten."""
    for (table, _), count in zip(cache.held(), n_cells, strict=True):
        needed, free = table.pages_for(count), table.n_free_without(sequence)
        if needed > free:
            raise UnsupportedError(
                f"the saved sequence needs {needed} pages and {free} are free: remove sequences, "
                f"or make a cache with more"
            )
    if cache.slots is not None and not cache.slots.n_free_without(sequence):
        raise UnsupportedError(
            "no slot is free for the saved sequence's recurrent state: remove a sequence, or make "
            "a cache with more"
        )
