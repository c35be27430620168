"""Files that appear whole or not at all: written under another name, then renamed.

A program that is killed leaves at most a hidden file ending in `.part`; one that fails or is
interrupted leaves nothing, and what stood under the name before still does.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import OutputError

BUFFER = 1 << 20


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], needed: int = 0) -> Iterator[Output]:
    """Write a file that takes the place of `path` when the block ends without an error.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "note.txt"
    >>> with replacing(path) as out:
    ...     out.write(b"hello")
    >>> path.read_bytes()
    b'hello'
    """
    with Replacement() as new, new.file(path, needed) as out:
        yield out


class Replacement:
    """Several files that take their places together when the block ends without an error.

    They are renamed last to first, so that the first, by which a set is opened, comes last. Should
    a rename fail, those that are new are removed again; one that replaced an older file stays.
    """

    def __init__(self) -> None:
        self._outputs: list[Output] = []

    def __enter__(self) -> Replacement:
        return self

    def file(self, path: str | os.PathLike[str], needed: int = 0) -> Output:
        """Begin a file; `needed` bytes must be free on its disk. Once closed it is on disk."""
        output = Output(Path(path))
        output.check_target(needed)
        self._outputs.append(output)
        output.open()
        return output

    def __exit__(self, kind: Any, *_: object) -> None:
        try:
            if kind is None:
                for output in self._outputs:
                    output.close()
                for output in reversed(self._outputs):
                    output.replace()
                for folder in {output.path.parent for output in self._outputs}:
                    _sync_folder(folder)
                self._outputs = []
        finally:
            for output in self._outputs:
                output.discard()


class Output:
    """A file in the making. `write` takes any bytes; closing it puts them on disk."""

    def __init__(self, path: Path) -> None:
        # a link stays, and what it points to is replaced
        self.path = Path(os.path.realpath(path))
        stem = self.path.name.encode(errors="replace")[:60].decode(errors="ignore")
        self._temporary = self.path.with_name(f".{stem}.{os.getpid()}.{secrets.token_hex(6)}.part")
        self._existed = False
        self._replaced = False
        self._descriptor = -1
        self._buffer = bytearray()

    def check_target(self, needed: int) -> None:
        """Refuse early what could only fail late."""
        with self._reporting():
            folder = self.path.parent
            if not folder.is_dir():
                raise OutputError(
                    f"{self.path} cannot be written: there is no folder {folder}, make it"
                )
            with contextlib.suppress(FileNotFoundError):
                status = self.path.stat()
                self._existed = True
                if not stat.S_ISREG(status.st_mode):
                    raise OutputError(
                        f"{self.path} is not a regular file and is left alone: choose another name"
                    )
            free = shutil.disk_usage(folder).free
        if needed > free:
            raise OutputError(
                f"{self.path} needs {needed} bytes, and {free} are free in {folder}: make room or "
                f"choose another folder"
            )

    def open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with self._reporting():
            self._descriptor = os.open(self._temporary, flags | getattr(os, "O_CLOEXEC", 0), 0o600)

    def write(self, data: Any) -> None:
        """Append bytes, or the bytes of a contiguous array."""
        view = memoryview(data)
        if not view.nbytes:
            return
        view = view.cast("B")
        if len(self._buffer) + len(view) <= BUFFER:
            self._buffer += view
            return
        self._flush()
        if len(view) <= BUFFER:
            self._buffer += view
        else:
            self._write(view)

    def close(self) -> None:
        """Put all of it on disk, under its temporary name."""
        if self._descriptor < 0:
            return
        self._flush()
        with self._reporting():
            os.fsync(self._descriptor)
            if hasattr(os, "fchmod"):
                with contextlib.suppress(PermissionError):  # some disks keep no permissions
                    os.fchmod(self._descriptor, self._mode())
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def replace(self) -> None:
        """Give it its name."""
        with self._reporting():
            os.replace(self._temporary, self.path)
        self._replaced = True

    def discard(self) -> None:
        """Remove it, and leave what stood under its name."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1
        with contextlib.suppress(OSError):
            if not self._replaced:
                os.unlink(self._temporary)
            elif not self._existed:
                os.unlink(self.path)

    def __enter__(self) -> Output:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is None:
            self.close()

    def _flush(self) -> None:
        if self._buffer:
            with memoryview(self._buffer) as view:
                self._write(view)
            self._buffer.clear()

    def _write(self, view: memoryview) -> None:
        with self._reporting():
            while view:
                view = view[os.write(self._descriptor, view) :]

    def _mode(self) -> int:
        """The permissions of the file that is replaced, or of a new one."""
        if self._existed:
            with contextlib.suppress(FileNotFoundError):
                return stat.S_IMODE(self.path.stat().st_mode)
        # it can only be read by setting it: to the strict side, for the sake of other threads
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OutputError:
            raise
        except OSError as error:
            told = OutputError(
                f"{self.path} could not be written: {error.strerror or error}; nothing was "
                f"changed, try again or choose another folder"
            )
            told.errno = error.errno
            raise told from error


def _sync_folder(folder: Path) -> None:
    """Make renames last through a power cut, where folders can be opened."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES):
            return  # this disk cannot be asked
        raise OutputError(
            f"{folder} could not be put on disk: {error.strerror}; try again or choose another"
        ) from error
