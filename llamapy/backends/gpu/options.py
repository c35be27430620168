"""What may be asked of the devices for graphics."""

from __future__ import annotations

from ...errors import UnsupportedError


def check(
    name: str,
    *,
    threads: int | None = None,
    precision: str | None = None,
    deterministic: bool = False,
) -> str | None:
    """The precision, if everything asked for can be had."""
    if threads is not None:
        raise UnsupportedError(f"the device {name} takes no threads=: leave it out")
    if precision not in (None, "float32"):
        raise UnsupportedError(f"precision is {precision!r}: choose None or 'float32'")
    return precision
