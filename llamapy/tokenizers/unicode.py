"""What is known of each character: tables over all code points, as of Unicode 15.1.

They are kept here, and not asked of Python, whose version of Unicode changes with its own.
"""

from __future__ import annotations

import codecs
import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

N_CODE_POINTS = 0x110000
# a bit for each general category's first letter, and one for what is not assigned
CATEGORIES = {"Cn": 1, "N": 2, "L": 4, "Z": 8, "M": 16, "P": 32, "S": 64, "C": 128}
UNDEFINED, NUMBER, LETTER, SEPARATOR, MARK, PUNCTUATION, SYMBOL, CONTROL = CATEGORIES.values()

WHITE_SPACE = (
    *range(0x09, 0x0E),
    *(0x20, 0x85, 0xA0, 0x1680),
    *range(0x2000, 0x200B),
    *(0x2028, 0x2029, 0x202F, 0x205F, 0x3000),
)


@functools.cache
def categories() -> NDArray[np.uint8]:
    """The bit of each code point's category."""
    found = np.full(N_CODE_POINTS, UNDEFINED, np.uint8)
    text = (Path(__file__).parent / "categories.txt").read_text(encoding="ascii")
    for line in text.splitlines():
        letter, *ranges = line.split()
        for each in ranges:
            first, _, last = each.partition("-")
            found[int(first, 16) : int(last or first, 16) + 1] = CATEGORIES[letter]
    return found


@functools.cache
def is_white_space() -> NDArray[np.bool_]:
    """Which code points are white space."""
    found = np.zeros(N_CODE_POINTS, bool)
    found[list(WHITE_SPACE)] = True
    return found


def code_points(data: bytes) -> NDArray[np.uint32]:
    """The code points of UTF-8 text. Bytes that are none become U+FFFD, each of them one; halves of
    surrogate pairs and overlong forms are taken for what they mean.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode(errors=_LENIENT)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def utf8(points: NDArray[np.uint32]) -> bytes:
    """Code points as UTF-8, halves of surrogate pairs included."""
    text = points.astype("<u4", copy=False).tobytes().decode("utf-32-le", "surrogatepass")
    return text.encode("utf-8", "surrogatepass")


def _mend(error: UnicodeError) -> tuple[str, int]:
    """What to make of bytes that are no strict UTF-8, and where to go on."""
    assert isinstance(error, UnicodeDecodeError)
    at, data = error.start, error.object
    lead = data[at]
    n = 2 if 0xC0 <= lead < 0xE0 else 3 if 0xE0 <= lead < 0xF0 else 4 if 0xF0 <= lead < 0xF8 else 1
    rest = data[at + 1 : at + n]
    if n > 1 and len(rest) == n - 1 and all(byte & 0xC0 == 0x80 for byte in rest):
        point = lead & (0x7F >> n)
        for byte in rest:
            point = point << 6 | byte & 0x3F
        if point < N_CODE_POINTS:
            return chr(point), at + n
    return "\ufffd", at + 1


_LENIENT = "llamapy-utf-8"
codecs.register_error(_LENIENT, _mend)
