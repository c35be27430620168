"""What tokens stand for where ▁ is a space and <0x0A> a byte."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from .vocabulary import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED, Vocabulary

SPACE = "▁".encode()
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def byte_tokens(vocabulary: Vocabulary) -> NDArray[np.int32]:
    """The token of each byte, or -1: <0x41>, or else A."""
    ids = np.full(256, -1, np.int32)
    for byte in range(256):
        id = vocabulary.id_of.get(f"<0x{byte:02X}>")
        if id is None and byte < 128:
            id = vocabulary.id_of.get(chr(byte))
        if id is not None:
            ids[byte] = id
    return ids


def byte_of(text: str) -> bytes | None:
    """The byte that <0x41> is written for."""
    found = _BYTE.fullmatch(text)
    return bytes([int(found[1], 16)]) if found else None


def pieces_with_spaces(vocabulary: Vocabulary) -> list[bytes]:
    """Normal tokens with spaces for ▁, those of bytes, and special ones as they are written."""
    pieces = [text.encode() for text in vocabulary.texts]
    kinds = vocabulary.kinds
    for id in np.flatnonzero(kinds == NORMAL).tolist():
        pieces[id] = pieces[id].replace(SPACE, b" ")
    for id in np.flatnonzero(kinds == BYTE).tolist():
        pieces[id] = byte_of(vocabulary.texts[id]) or b""
    shown = np.isin(kinds, (NORMAL, BYTE, CONTROL, UNKNOWN, USER_DEFINED))
    for id in np.flatnonzero(~shown).tolist():
        pieces[id] = b""
    return pieces
