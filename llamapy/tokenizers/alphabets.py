"""Letters of byte-pair encodings: what is merged into tokens, and what tokens stand for."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .kernels.scanning import byte_ends
from .merges import Letters, Merges
from .unicode import N_CODE_POINTS, utf8

Points = NDArray[np.uint32]
Ends = NDArray[np.int64]

SPACE, MARK = ord(" "), 0x2581


@functools.cache
def visible_bytes() -> str:
    """A visible character for each byte: its own in Latin-1 if that is one, else from U+0100 on."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in visible else next(others)) for byte in range(256))


class Alphabet(ABC):
    """How text becomes letters, and what stands for letters that are no tokens."""

    def __init__(self, merges: Merges) -> None:
        self.merges = merges

    @staticmethod
    @abstractmethod
    def texts() -> list[str]:
        """Texts that need a number, whether they are tokens or not."""

    @abstractmethod
    def letters(self, points: Points, ends: Ends) -> tuple[Letters, Ends]:
        """The letters of a text, and where its words end among them."""

    @abstractmethod
    def rest(self, number: int) -> Iterable[str]:
        """The tokens that stand for a text which is none, so far as they exist."""


class ByteLetters(Alphabet):
    """Letters are bytes, written as visible characters."""

    @staticmethod
    def texts() -> list[str]:
        return list(visible_bytes())

    def letters(self, points: Points, ends: Ends) -> tuple[Letters, Ends]:
        data = np.frombuffer(utf8(points), np.uint8)
        if len(data) > len(points):
            ends = byte_ends(points, ends)
        return self.merges.numbers[data], ends

    def rest(self, number: int) -> Iterable[str]:
        # as llama.cpp, which looks for the bytes of the visible characters, and so finds only ASCII
        return (chr(byte) for byte in self.merges.text(number) if byte < 0x80)


class CharacterLetters(Alphabet):
    """Letters are characters; those that are in no token become the tokens of their bytes."""

    @staticmethod
    def texts() -> list[str]:
        return [*(f"<0x{byte:02X}>" for byte in range(256)), "\n"]

    def __init__(self, merges: Merges) -> None:
        super().__init__(merges)
        self.of_bytes, self.newline = self.merges.numbers[:256], int(self.merges.numbers[256])
        self.of_points = np.full(N_CODE_POINTS, -1, np.int32)
        points, numbers = self.merges.characters()
        self.of_points[points] = numbers

    def letters(self, points: Points, ends: Ends) -> tuple[Letters, Ends]:
        letters = self.of_points[points]
        if letters.size and letters.min() >= 0:
            return letters, ends
        return self._with_bytes(points, letters, ends)

    def _with_bytes(self, points: Points, letters: Letters, ends: Ends) -> tuple[Letters, Ends]:
        unknown = letters < 0
        data = self.of_bytes[np.frombuffer(utf8(points[unknown]), np.uint8)]
        each = np.ones(len(points), np.int64)
        each[unknown] += (points[unknown] >= [[0x80], [0x800], [0x10000]]).sum(0)
        found = np.repeat(letters, each)
        found[np.repeat(unknown, each)] = data
        return found, np.cumsum(each)[ends - 1]

    def rest(self, number: int) -> Iterable[str]:
        if number in self.of_bytes:
            return ()
        return (f"<0x{byte:02X}>" for byte in self.merges.text(number))
