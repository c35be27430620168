"""Tasks of multiple choice, and the files that llama-perplexity reads them from.

* HellaSwag: text, six lines for each task: context, the number of the right ending, four endings.
* WinoGrande: CSV of number, sentence with `_` in place of a word, two words, the right one's number
  (1 or 2).
* Multiple choice (ARC, MMLU, TruthfulQA): a binary file of questions with answers and labels.
"""

from __future__ import annotations

import csv
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import FormatError

Ranges = list[tuple[int, int]]  # of tokens, for each text
TRAILING = 3  # tokens after a choice that are enough to judge it by


@dataclass(frozen=True)
class Task:
    """Texts that differ in the choice that they end with, or contain; `right` numbers choices."""

    texts: tuple[str, ...]
    choices: tuple[str, ...]
    right: frozenset[int]

    def counted(
        self, length: Callable[[str], int], texts: Sequence[Sequence[int]], alike: int
    ) -> Ranges:
        """The tokens of each text that count: all but those that all begin with."""
        return [(alike, len(text)) for text in texts]


@dataclass(frozen=True)
class Blank(Task):
    """The choice stands in the text: what follows it counts, if there is enough."""

    beginnings: tuple[str, ...] = ()  # of the texts, up to and with the choice

    def counted(
        self, length: Callable[[str], int], texts: Sequence[Sequence[int]], alike: int
    ) -> Ranges:
        """The tokens behind the choice; the last, a full stop, is left out if others remain."""
        starts = [alike] * len(texts)
        if all(len(text) - alike > TRAILING for text in texts):
            starts = [max(alike, length(beginning)) for beginning in self.beginnings]
        starts = [min(start, len(text) - 1) for start, text in zip(starts, texts, strict=True)]
        return [
            (start, len(text) - (len(text) - start > 1))
            for start, text in zip(starts, texts, strict=True)
        ]


# ---- reading


def read_hellaswag(text: str, count: int | None = None) -> list[Task]:
    """Tasks of the HellaSwag file; so many of them, those that llama-perplexity chooses."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines or len(lines) % 6:
        raise FormatError(
            f"there are {len(lines)} lines, and a task has 6: a context, a number and 4 endings",
            field="HellaSwag",
        )
    tasks = [_hellaswag(lines[at : at + 6], at) for at in range(0, len(lines), 6)]
    if count is None:
        count = len(tasks)
    bits, chosen = _Bits(), []
    for _ in range(min(count, len(tasks))):
        chosen.append(tasks.pop(bits.below(len(tasks))))
    return chosen


def _hellaswag(lines: Sequence[str], at: int) -> Task:
    context, number, *endings = lines
    if number.strip() not in ("0", "1", "2", "3"):
        raise FormatError(
            f"the number of the right ending is {number!r}, and must be 0 to 3",
            field=f"line {at + 2}",
        )
    return Task(
        tuple(f"{context} {ending}" for ending in endings), tuple(endings), frozenset([int(number)])
    )


def read_winogrande(text: str, count: int | None = None) -> list[Task]:
    """Tasks of a WinoGrande file."""
    tasks: list[Task] = []
    for number, row in enumerate(csv.reader(text.splitlines()), 1):
        if not row:
            continue
        if len(row) != 5 or "_" not in row[1] or row[4].strip() not in ("1", "2"):
            raise FormatError(
                f"{row} is not number, sentence with _, two words, 1 or 2", field=f"line {number}"
            )
        _, sentence, *words, answer = row
        before, _, after = sentence.partition("_")
        beginnings = tuple(before + word for word in words)
        texts = tuple(beginning + after for beginning in beginnings)
        tasks.append(Blank(texts, tuple(words), frozenset([int(answer) - 1]), beginnings))
    if not tasks:
        raise FormatError("there are no tasks in the file", field="WinoGrande")
    return _some(tasks, count)


def read_multiple_choice(raw: bytes, count: int | None = None) -> list[Task]:
    """Tasks of a binary file: their number, where each begins, and the tasks."""
    reader = _Reader(raw)
    n_tasks = reader.number("number of tasks")
    reader.take(4 * n_tasks, "positions of tasks")
    tasks = [_multiple_choice(reader) for _ in range(n_tasks)]
    if not tasks:
        raise FormatError("there are no tasks in the file", field="multiple choice")
    return _some(tasks, count)


def _multiple_choice(reader: _Reader) -> Task:
    question = reader.text("question")
    choices, labels = reader.answers()
    reader.answers()  # the same question with several right answers, which is not asked
    if not question or not choices or not all(choices):
        raise FormatError("a question or an answer is empty", offset=reader.at, field="task")
    right = frozenset(i for i, label in enumerate(labels) if label == 1)
    return Task(tuple(f"{question} {choice}" for choice in choices), choices, right)


class _Reader:
    """The bytes of a file, from the front and never beyond the end."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def take(self, size: int, what: str) -> bytes:
        if not 0 <= size <= len(self.raw) - self.at:
            raise FormatError(
                f"{size} bytes are asked for and {len(self.raw) - self.at} are left: the file is "
                f"of another kind, or cut off",
                offset=self.at,
                field=what,
            )
        self.at += size
        return self.raw[self.at - size : self.at]

    def number(self, what: str) -> int:
        (value,) = struct.unpack("<I", self.take(4, what))
        return int(value)

    def text(self, what: str) -> str:
        return self.take(self.number(what), what).decode("utf-8", "replace")

    def answers(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        n = self.number("number of answers")
        choices = tuple(self.text("answer") for _ in range(min(n, len(self.raw))))
        return choices, struct.unpack(f"<{n}i", self.take(4 * n, "labels"))


# ---- choosing some


class _Bits:
    """The random numbers that choose tasks: C++'s std::mt19937, begun with 1."""

    def __init__(self) -> None:
        self._bits = np.random.MT19937()
        self._bits._legacy_seeding(1)

    def next(self) -> int:
        return int(self._bits.random_raw())

    def below(self, count: int) -> int:
        """A number below `count`, all of them equally likely (arXiv:1805.10941)."""
        product = self.next() * count
        while product % 2**32 < 2**32 % count:
            product = self.next() * count
        return product >> 32


def _some(tasks: list[Task], count: int | None) -> list[Task]:
    """So many of the tasks; all of them if that is not fewer."""
    if not count or count >= len(tasks):
        return tasks
    bits, rest, chosen = _Bits(), list(range(len(tasks))), []
    for _ in range(count):
        # the arithmetic of llama-perplexity, in float32
        at = int(np.float32(bits.next()) * np.float32(2**-32) * np.float32(len(rest)))
        at = min(at, len(rest) - 1)
        chosen.append(tasks[rest[at]])
        rest[at] = rest[-1]
        rest.pop()
    return chosen
