"""Change a file's metadata, in place where nothing can go wrong, else by writing the file anew."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import OutputError, UnsupportedError
from ..files import replacing
from .header import Header, read_header
from .metadata import Metadata
from .reader import SPLIT_COUNT, SPLIT_TYPES
from .source import Source
from .types import ALIGNMENT_KEY
from .writer import PIECE, Progress, Teller, encode_header, plan_tensors

SECTOR = 512
"""what every disk writes whole or not at all"""


def edit(
    path: str | os.PathLike[str],
    set: Mapping[str, Any] | None = None,
    remove: Iterable[str] = (),
    *,
    progress: Progress | None = None,
) -> bool:
    """Set and remove metadata keys of a file. Returns whether that was done in place.

    A key that is there keeps its place and type, unless a `typed` value names another. Whatever
    happens, the path leads to the whole old file or the whole new one. So the file is changed in
    place only if its length stays and the bytes that differ lie in one sector, which is written
    whole: a number, a flag, a short text of the same length. Any other change moves the header's
    bytes, which a crash could leave half moved: the file is then written anew and renamed. Of a
    model in several files, name the part; it is usually the first that holds the metadata.
    """
    changes, removed = dict(set or {}), list(remove)
    target = Path(os.path.realpath(path))
    source = Source.of_file(target)
    try:
        header = read_header(source)
        _check(header, changes, removed)
        metadata = Metadata.of(header.values).updated(changes, removed)
        if not os.access(target, os.W_OK):
            raise OutputError(f"{path} may not be written: change its permissions, or copy it")
        old, new = bytes(source.view[: header.data_offset]), _encoded(header, source, metadata)
        span = _differing(old, new)
        if span is None:
            _rewrite(target, source, new, header.data_offset, progress)
            return False
        if span:
            _overwrite(target, span.start, old[span.start : span.stop], new[span.start : span.stop])
        return True
    finally:
        source.close()


def _check(header: Header, changes: Mapping[str, Any], removed: list[str]) -> None:
    """Refuse what would make the file say something untrue about its own layout."""
    if both := [key for key in removed if key in changes]:
        raise UnsupportedError(f"{both[0]} is both to be set and to be removed: choose one")
    if ALIGNMENT_KEY in changes or ALIGNMENT_KEY in removed:
        raise UnsupportedError(
            f"{ALIGNMENT_KEY} says where the tensors lie, and editing moves none: "
            f"write the file again with gguf.write(..., alignment=)"
        )
    if wrong := [key for key in changes if key in SPLIT_TYPES]:
        raise UnsupportedError(
            f"{wrong[0]} ties the parts of a split model together: use gguf.split or gguf.merge"
        )
    count = header.values.get(SPLIT_COUNT)
    tied = [key for key in removed if key in SPLIT_TYPES]
    # 0 and 1 tie nothing: they are left over from a merge
    if tied and count is not None and count.get() not in (0, 1):
        raise UnsupportedError(
            f"{tied[0]} ties this file to the other parts of its model: use gguf.merge"
        )


def _encoded(header: Header, source: Source, metadata: Metadata) -> bytes:
    """The header's bytes with other metadata."""
    tensors = plan_tensors(header.tensors)
    return b"".join(
        encode_header(header.version, source.order, header.alignment, metadata, tensors)
    )


def _differing(old: bytes, new: bytes) -> range | None:
    """The bytes that differ, if they can be overwritten safely; None if not."""
    if len(old) != len(new):
        return None
    if old == new:
        return range(0)
    start = next(i for i in range(0, len(old), SECTOR) if _sector(old, i) != _sector(new, i))
    stop = start + SECTOR
    if old[stop:] != new[stop:]:
        return None
    places = [i for i in range(start, min(stop, len(old))) if old[i] != new[i]]
    return range(places[0], places[-1] + 1)


def _sector(data: bytes, start: int) -> bytes:
    return data[start : start + SECTOR]


def _rewrite(
    path: Path, source: Source, header: bytes, data_offset: int, progress: Progress | None
) -> None:
    """Write the file with another header; all that follows it is copied as it is."""
    total = len(header) + source.size - data_offset
    tell = Teller(progress, total)
    with replacing(path, needed=total) as output:
        output.write(header)
        tell(len(header))
        for at in range(data_offset, source.size, PIECE):
            source.check()
            size = min(PIECE, source.size - at)
            output.write(source.view[at : at + size])
            tell(size)
        source.close()  # not every system renames over a file that is still mapped


def _overwrite(path: Path, at: int, old: bytes, new: bytes) -> None:
    """Put the new bytes where the old ones are, with one call, and on disk."""
    try:
        # unbuffered: one write is one call
        with open(path, "r+b", buffering=0) as file:
            file.seek(at)
            if file.read(len(old)) != old:
                raise OutputError(f"{path} was changed by another program meanwhile: try again")
            file.seek(at)
            if file.write(new) != len(new):
                file.seek(at)
                file.write(old)
                raise OutputError(f"{path} could not be written: it is as it was, try again")
            os.fsync(file.fileno())
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path} could not be written: {error.strerror or error}; check the disk and try again"
        ) from error
