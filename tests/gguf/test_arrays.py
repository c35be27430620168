"""Arrays of strings: lengths are found many at a time, and the outcome is that of a walk."""

from __future__ import annotations

import itertools
import random
import struct

import pytest

from llamapy import FormatError
from llamapy.gguf.arrays import scan_strings
from llamapy.gguf.types import LITTLE, ArrayType, ValueType
from llamapy.gguf.values import typed

LENGTHS = [0, 1, 3, 7, 8, 9, 255, 256, 300, 70_000]


def strings(chance: random.Random, count: int) -> list[bytes]:
    """Mostly short ones; some are empty, long, or have zeros in them."""
    lowest, odd = chance.choice([0, 1]), chance.choice([0, 0.001, 0.02])
    return [
        bytes(
            chance.choices(
                range(lowest, 256),
                k=chance.choice(LENGTHS) if chance.random() < odd else chance.randrange(1, 12),
            )
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(12))
def test_strings_are_found(seed):
    chance = random.Random(seed)
    texts = strings(chance, chance.choice([0, 1, 1023, 1024, 3000, 9000]))
    before = bytes(chance.randrange(9))
    raw = before + b"".join(struct.pack("<Q", len(each)) + each for each in texts)
    view = memoryview(raw + b"tail")
    starts = scan_strings(view, len(before), len(texts), LITTLE)
    assert [bytes(view[a : b - 8]) for a, b in itertools.pairwise(starts)] == texts
    assert starts[-1] == len(raw) + 8
    if len(texts) > 5:
        with pytest.raises(FormatError, match="string"):
            scan_strings(view[: len(raw) - len(texts[-1]) - 9], len(before), len(texts), LITTLE)


@pytest.mark.parametrize("odd", ["", "\0", "\0" * 9, "é😀", "x" * 300])
def test_texts_are_decoded_whole(odd):
    texts = [f"text {n}" for n in range(5000)]
    texts[1:1] = texts[4100:4100] = [odd]
    value = typed(ArrayType(ValueType.STRING), texts)
    assert list(value.get()) == texts
