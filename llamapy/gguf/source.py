"""The bytes of one file: mapped from disk, or given in memory."""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path
from typing import Any

from ..errors import FormatError, UnsupportedError
from .types import LITTLE, ByteOrder


class Source:
    """A read-only view of bytes, and the byte order of the numbers in it."""

    __slots__ = ("_descriptor", "_map", "order", "path", "size", "view")

    def __init__(self, data: Any, order: ByteOrder = LITTLE) -> None:
        self.view = memoryview(data).toreadonly().cast("B")
        self.size = self.view.nbytes
        self.order = order
        self.path: Path | None = None
        self._descriptor = -1
        self._map: mmap.mmap | None = None

    @classmethod
    def of_file(cls, path: Path) -> Source:
        """Map a regular file. Pipes and devices have no end, or none that can be trusted."""
        # without O_NONBLOCK the opening of a pipe would wait for a writer
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        if path.is_dir():
            raise FormatError(f"{path} is a folder: name the file in it", field="file")
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FormatError(
                    f"{path} is not a regular file: save its content to one", field="file"
                )
            mapped = _map_file(path, descriptor, status.st_size) if status.st_size else None
        except BaseException:
            os.close(descriptor)
            raise
        source = cls(b"" if mapped is None else mapped)
        source.path, source._descriptor, source._map = path, descriptor, mapped
        return source

    def check(self) -> None:
        """Refuse to look at a file that was cut since: its missing pages would end the process."""
        if self.path is None:
            return
        if self._descriptor < 0:
            raise UnsupportedError(f"{self.path} is closed: open it again, or keep it open longer")
        size = os.fstat(self._descriptor).st_size
        if size < self.size:
            raise FormatError(
                f"{self.path} had {self.size} bytes when it was opened and now has {size}: "
                f"open it again once its writer is done",
                offset=size,
                field="file",
                value=size,
            )

    @property
    def readable(self) -> bool:
        """Whether `read` works: bytes in memory, and systems without positioned reads, lack it."""
        return self._descriptor >= 0 and hasattr(os, "preadv")

    def read(self, offset: int, out: memoryview) -> None:
        """Fill `out` with the file's bytes from `offset` on, without the map.

        Pages that were seen through the map stay in memory, and those of a model are many.
        """
        while out:
            done = os.preadv(self._descriptor, [out], offset)
            if not done:
                raise FormatError(
                    "the file ends here, and did not when it was opened: open it again once its "
                    "writer is done",
                    offset=offset,
                    field="file",
                )
            out, offset = out[done:], offset + done

    def forget(self) -> None:
        """Let go of the pages in memory: what is looked at again is read again."""
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Let the file go. Arrays that still show its bytes keep them mapped until they die."""
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        self._descriptor = -1
        self.view = memoryview(b"")
        self._map = None

    def __del__(self) -> None:
        self.close()


def _map_file(path: Path, descriptor: int, size: int) -> mmap.mmap:
    try:
        return mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
    except ValueError:
        raise FormatError(
            f"{path} is being cut while it is opened: open it again once its writer is done",
            field="file",
        ) from None
