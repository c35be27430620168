"""A model in several files, and in one again: named and tied together as llama.cpp does it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from ..errors import UnsupportedError
from .digest import FileOrPath, opened
from .reader import SPLIT_COUNT, SPLIT_TYPES
from .types import BYTE_ORDERS
from .writer import Part, Progress, divide, numbered_parts, plan_tensors, write_parts

# powers of 1000, as llama.cpp counts them here
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def split(
    file: FileOrPath,
    prefix: str | os.PathLike[str],
    max_size: str | int | None = None,
    max_tensors: int | None = None,
    *,
    first_has_tensors: bool = True,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Write `prefix-00001-of-0000N.gguf` and so on, and give their paths.

    A part holds at most so many bytes of tensors ("2G" is 2 * 1000**3) and so many tensors; a
    tensor that is larger gets a part of its own. The first part holds all metadata, and nothing
    else unless `first_has_tensors`. All parts appear together, or none does.
    """
    if max_size is None and max_tensors is None:
        raise UnsupportedError("say how large a part may be: max_size='2G', max_tensors=, or both")
    limit = None if max_size is None else parse_size(max_size)
    with opened(file) as source:
        parts = divide(plan_tensors(source), limit, max_tensors, source.alignment)
        if not first_has_tensors:
            parts = [[], *filter(None, parts)]
        files = numbered_parts(Path(prefix), source.metadata, parts)
        _refuse_overwriting(source.paths, files)
        write_parts(
            files, source.version, BYTE_ORDERS[source.byteorder], source.alignment, progress
        )
    return tuple(part.path for part in files)


def merge(
    first_part: FileOrPath, path: str | os.PathLike[str], *, progress: Progress | None = None
) -> Path:
    """Join the parts of a model, which is opened by the first, into one file.

    What `split` made becomes the file that it was made from, byte for byte.
    """
    with opened(first_part) as source:
        if not source.metadata.expect(SPLIT_COUNT, int, 0):
            name = source.paths[0].name if source.paths else "the file"
            raise UnsupportedError(f"{name} is not a part of a split model: there is no more of it")
        metadata = source.metadata.updated(
            remove=[key for key in SPLIT_TYPES if key in source.metadata]
        )
        whole = [Part(Path(path), metadata, plan_tensors(source))]
        _refuse_overwriting(source.paths, whole)
        write_parts(
            whole, source.version, BYTE_ORDERS[source.byteorder], source.alignment, progress
        )
    return Path(path)


def parse_size(size: str | int) -> int:
    """A number of bytes: 1500000, "1500K", "2G", with decimal units.

    >>> parse_size("2G")
    2000000000
    """
    if isinstance(size, int):
        return size
    found = re.fullmatch(r"\s*(\d{1,18})\s*([KMGT]?)B?\s*", size, re.IGNORECASE)
    if found is None:
        raise UnsupportedError(f"{size!r} is no size: write a whole number, as in 500M or 2G")
    return int(found[1]) * _UNITS[found[2].upper()]


def _refuse_overwriting(sources: Iterable[Path], parts: Iterable[Part]) -> None:
    """A failure half-way through the renames would then cost a part of the source."""
    read = {os.path.realpath(path) for path in sources}
    for part in parts:
        if os.path.realpath(part.path) in read:
            raise UnsupportedError(
                f"{part.path} is one of the files that are read: choose another name"
            )
