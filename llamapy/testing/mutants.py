"""Damaged copies of files: seeded, endless, and aware of where counts, lengths and offsets lie."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Sequence

# Values that arithmetic trips over: zero, the ends of each width and what is next to them
SMALL = (0, 1, 2, 3, 7, 8, 9, 10, 12, 13, 16, 31, 32, 33, 63, 64, 65, 255, 256, 4096, 65_535)
LARGE = (2**16, 2**20, 2**30, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**40, 2**53, 2**60)
HUGEST = (2**61, 2**62, 2**63 - 64, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 64, 2**64 - 8, 2**64 - 1)
U32S = [struct.pack("<I", n) for n in SMALL + LARGE if n < 2**32]
U64S = [struct.pack("<Q", n) for n in SMALL + LARGE + HUGEST]
NEAR = (-64, -32, -8, -2, -1, 1, 2, 8, 32, 64)


def mutants(files: Sequence[bytes], seed: int, count: int) -> Iterator[bytes]:
    """`count` damaged copies of these files, the same ones for the same seed."""
    rng = random.Random(seed)
    fields = [_likely_fields(file) for file in files]
    whole_range = range(len(files))
    for _ in range(count):
        which = rng.choice(whole_range)
        data = bytearray(files[which])
        # most files have one wound; more would mostly die of the first
        for _wound in range(1 if rng.random() < 0.75 else rng.randrange(2, 6)):
            rng.choice(_WOUNDS)(rng, data, fields[which], files)
        yield bytes(data)


def _likely_fields(file: bytes) -> list[int]:
    """Places that hold a small number of 64 bits: counts, lengths, sizes, offsets are such."""
    numbers = (struct.unpack_from("<Q", file, at)[0] for at in range(len(file) - 7))
    return [at for at, number in enumerate(numbers) if 0 < number < 4096] or [0]


Wound = Callable[[random.Random, bytearray, list[int], Sequence[bytes]], None]


def _cut(rng: random.Random, data: bytearray, fields: list[int], files: Sequence[bytes]) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _flip(rng: random.Random, data: bytearray, fields: list[int], files: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _byte(rng: random.Random, data: bytearray, fields: list[int], files: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _u32(rng: random.Random, data: bytearray, fields: list[int], files: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at : at + 4] = rng.choice(U32S)


def _field(rng: random.Random, data: bytearray, fields: list[int], files: Sequence[bytes]) -> None:
    at = rng.choice(fields)
    data[at : at + 8] = rng.choice(U64S)


def _near(rng: random.Random, data: bytearray, fields: list[int], files: Sequence[bytes]) -> None:
    at = rng.choice(fields)
    number = int.from_bytes(data[at : at + 8], "little") + rng.choice(NEAR)
    data[at : at + 8] = (number % 2**64).to_bytes(8, "little")


def _type(rng: random.Random, data: bytearray, fields: list[int], files: Sequence[bytes]) -> None:
    # a type number often follows a text, whose length is a field
    at = rng.choice(fields)
    at += 8 + int.from_bytes(data[at : at + 8], "little") % 64
    data[at : at + 4] = rng.randrange(15).to_bytes(4, "little")


def _splice(rng: random.Random, data: bytearray, fields: list[int], files: Sequence[bytes]) -> None:
    other = rng.choice(files)
    start, at = rng.randrange(len(other)), rng.randrange(len(data) + 1)
    size = rng.randrange(1, 65)
    data[at : at + size] = other[start : start + size]


def _delete(rng: random.Random, data: bytearray, fields: list[int], files: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    del data[at : at + rng.choice((1, 2, 4, 8, 16))]


def _insert(rng: random.Random, data: bytearray, fields: list[int], files: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8, 16)))


_WOUNDS: tuple[Wound, ...] = (
    _cut, _flip, _byte, _u32, _field, _field, _near, _near, _type, _splice, _delete, _insert
)  # fmt: skip
