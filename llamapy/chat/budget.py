"""What a template may use: steps, time, and memory. A file must not be able to stop a program."""

from __future__ import annotations

import time
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ..errors import TemplateError

T = TypeVar("T")

CONTAINERS = (list, tuple, set, frozenset, KeysView, ValuesView, ItemsView)
ITEM = 64  # bytes that a small value takes, and a little more


@dataclass(frozen=True)
class Limits:
    """At most so much, besides what a conversation brings. Real templates stay far below."""

    seconds: float = 1.5
    steps: int = 1_000_000  # turns of loops, calls, filters and operators
    text: int = 8_000_000  # characters that come out
    value: int = 4_000_000  # bytes of one value
    bits: int = 20_000  # of one number
    made: int = 20_000_000  # bytes of all values together
    range: int = 100_000  # numbers of one range
    source: int = 200_000  # characters of the template
    parts: int = 10_000  # of the template: texts, expressions, statements

    def beside(self, given: int) -> Limits:
        """For a conversation of so many characters, which a template may copy a few times."""
        return replace(
            self,
            seconds=self.seconds + given / 1_000_000,
            steps=self.steps + given,
            text=self.text + 8 * given,
            value=self.value + 8 * given,
            made=self.made + 64 * given,
        )


@dataclass
class Budget:
    """What is left of it while a template runs."""

    limits: Limits
    steps: int = 0
    made: int = 0
    started: float = field(default_factory=time.monotonic)

    def step(self) -> None:
        """Some work is about to be done."""
        self.steps += 1
        if self.steps > self.limits.steps:
            raise TemplateError(
                f"the chat template takes more than {self.limits.steps} steps: it would not end, "
                f"or soon; pass another template"
            )
        if time.monotonic() - self.started > self.limits.seconds:
            raise TemplateError(
                f"the chat template takes more than {self.limits.seconds} s: pass another template"
            )

    def make(self, size: float) -> None:
        """Something of this size is about to be made."""
        if size > self.limits.value:
            raise TemplateError(
                f"the chat template makes a value of size {size:.0f}, more than "
                f"{self.limits.value}: pass another template"
            )
        self.made += int(size)
        if self.made > self.limits.made:
            raise TemplateError(
                f"the chat template makes values of more than {self.limits.made} bytes in all: "
                f"pass another template"
            )

    def check_bits(self, bits: float) -> None:
        """A whole number of so many bits is about to be made."""
        if bits > self.limits.bits:
            raise TemplateError(
                f"the chat template computes a number of more than {self.limits.bits} bits: pass "
                f"another template"
            )

    def kept(self, value: T) -> T:
        """Something that was made, counted."""
        self.step()
        if (size := size_of(value)) > ITEM:
            self.make(size)
        return value

    def turns(self, items: Iterable[Any], text: int = 0) -> Iterator[Any]:
        """The items of a loop, each a step, with so much text of the template's own in each."""
        for item in items:
            self.step()
            self.make(text)
            yield item

    def each(self, items: Iterable[Any]) -> Iterator[Any]:
        """Items that are made as they are asked for."""
        for item in items:
            self.step()
            self.make(ITEM + size_of(item))
            yield item

    def shown(self, *values: Any) -> int:
        """How long the text of values is, or nearly; lists and the like with all that they hold."""
        total, left = 0, list(values)
        while left:
            value = left.pop()
            total += 8 + size_of(value)
            if total > self.limits.value:
                self.make(total)
            if isinstance(value, Mapping):
                left += value.keys()
                left += value.values()
            elif isinstance(value, CONTAINERS):
                left += value
        return total


def size_of(value: Any) -> int:
    """Bytes of a text, or 8 for each item of a container."""
    if isinstance(value, str):
        return len(value) if value.isascii() else 4 * len(value)
    if isinstance(value, list | tuple | dict | set | frozenset):
        return 8 * len(value)
    return len(value) if isinstance(value, bytes) else 0
