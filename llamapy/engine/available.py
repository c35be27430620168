"""How much memory this process may still take: the machine's, and what its container allows."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..backends import Backend
from ..backends.several import Several

NO_LIMIT = 1 << 60  # what a group without a limit says, or more


def available_bytes(root: str | os.PathLike[str] = "/") -> int | None:
    """The least of what the system has left and of what each control group allows; None: unknown.

    What the system only keeps for files counts as free, for it gives that back. `root` is where
    the system's own files begin.
    """
    root = Path(root)
    found = [*_machine(root), *_groups(root)]
    return max(0, min(found)) if found else None


def free_bytes(backend: Backend) -> int | None:
    """How much memory a backend may still take: its device's, or this process's; None: unknown."""
    ask = getattr(backend, "free_bytes", None)
    own = ask() if ask is not None else None
    if ask is not None and not backend.shares_memory:  # type: ignore[attr-defined]
        return own
    found = [n for n in (own, available_bytes()) if n is not None]
    return min(found, default=None)


def placed(backend: Backend, metadata: Mapping[str, Any]) -> Backend:
    """The backend for a model: several divide its layers by what is free, or else evenly."""
    if not isinstance(backend, Several) or backend.is_divided:
        return backend
    count = metadata.get(f"{metadata.get('general.architecture')}.block_count")
    free = [free_bytes(part) for part in backend.sharing]
    even = [1] * len(free)
    shares = even if None in free or not any(free) else [n or 0 for n in free]
    return backend.divided(count if isinstance(count, int) and count > 0 else 1, shares)


def _machine(root: Path) -> Iterator[int]:
    numbers = _table(root / "proc/meminfo")
    if "MemAvailable:" in numbers:
        yield 1024 * numbers["MemAvailable:"]
    elif root == Path("/") and sys.platform == "win32":
        yield _windows()
    elif root == Path("/"):
        with contextlib.suppress(ValueError, OSError):  # names that this system does not know
            yield os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _groups(root: Path) -> Iterator[int]:
    """What is left in the group of this process, and in each group around it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            names = ("memory.max", "memory.current", "")
            folder = mounts
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
            folder = mounts / "memory"
        else:
            continue
        # in a container, the path may be another's: what is mounted is then its own group
        inside = folder / path.lstrip("/")
        for group in dict.fromkeys([inside, *inside.parents]):
            if group.is_relative_to(folder):
                yield from _left(group, *names)


def _left(group: Path, limit_name: str, used_name: str, prefix: str) -> Iterator[int]:
    limit, used = _number(group / limit_name), _number(group / used_name)
    if limit is None or used is None or limit >= NO_LIMIT:
        return
    kept = _table(group / "memory.stat")
    files = kept.get(f"{prefix}active_file", 0) + kept.get(f"{prefix}inactive_file", 0)
    yield limit - max(0, used - files)


def _number(path: Path) -> int | None:
    """The number in a file; None if there is none, or if it says `max`."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _table(path: Path) -> dict[str, int]:
    """The numbers of a file of lines `name number`."""
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _windows() -> int:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            *((name, ctypes.c_uint64) for name in ("total", "available", "t", "p", "v", "w", "x")),
        )

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return int(status.available)
