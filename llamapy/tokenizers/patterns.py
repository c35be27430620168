"""The regular expressions that pre-tokenizers are written in, parsed.

Known: literals, escapes (\\r \\n \\t \\s \\S \\p{L}), classes, [a--b] for a without b, groups,
(?i:...), alternatives, the greedy ? * + {m} {m,n}, $ for the end, and (?!\\S).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import TokenizerError
from .unicode import CATEGORIES, N_CODE_POINTS, WHITE_SPACE, categories

# a range of code points
Range = tuple[int, int]


@dataclass(frozen=True)
class Characters:
    """Any character of these categories and ranges, or with `negated` any other."""

    categories: frozenset[int] = frozenset()
    ranges: frozenset[Range] = frozenset()
    negated: bool = False
    without: Characters | None = None

    def among(self, points: NDArray[np.int64], kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which of these code points match, whose categories are `kinds`."""
        found = np.isin(kinds, list(self.categories))
        for first, last in self.ranges:
            found |= (points >= first) & (points <= last)
        if self.without:
            found &= ~self.without.among(points, kinds)
        return ~found if self.negated else found

    def edges(self) -> Iterator[int]:
        """Where code points may begin or cease to match, apart from categories."""
        for first, last in self.ranges:
            yield from (first, last + 1)
        if self.without:
            yield from self.without.edges()


@dataclass(frozen=True)
class Sequence:
    """One part after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Alternatives:
    """The first of these that matches."""

    options: tuple[Node, ...]


@dataclass(frozen=True)
class Repeated:
    """As often as possible, up to `most` times (None: without end)."""

    part: Node
    least: int
    most: int | None


@dataclass(frozen=True)
class Before:
    """Nothing, where the text ends or one of these characters follows."""

    characters: Characters = field(default=Characters())


Node = Characters | Sequence | Alternatives | Repeated | Before

WHITE = frozenset((point, point) for point in WHITE_SPACE)
ESCAPES = {"r": "\r", "n": "\n", "t": "\t"}


def parse(pattern: str) -> Node:
    """The parsed pattern."""
    parser = _Parser(pattern)
    node = parser.alternatives()
    if parser.at < len(pattern):
        raise parser.problem("a parenthesis too many")
    return node


def all_characters(node: Node) -> Iterator[Characters]:
    """All sets of characters in a pattern."""
    if isinstance(node, Characters):
        yield node
    elif isinstance(node, Before):
        yield node.characters
    elif isinstance(node, Repeated):
        yield from all_characters(node.part)
    else:
        for part in node.parts if isinstance(node, Sequence) else node.options:
            yield from all_characters(part)


def classify(sets: list[Characters]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The class of each code point, and which sets each class is in: as few classes as do."""
    edges = {edge for each in sets for edge in each.edges() if edge < N_CODE_POINTS}
    points = np.union1d(_category_edges(), np.array(sorted(edges), np.int64))
    kinds = categories()[points]
    member = np.array([each.among(points, kinds) for each in sets])
    distinct, classes = np.unique(member, axis=1, return_inverse=True)
    table = np.repeat(classes.reshape(-1).astype(np.uint8), np.diff(points, append=N_CODE_POINTS))
    return table, distinct.T


@functools.cache
def _category_edges() -> NDArray[np.int64]:
    return np.flatnonzero(np.diff(categories(), prepend=0))


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.pattern, self.at, self.any_case = pattern, 0, False

    def problem(self, what: str) -> TokenizerError:
        return TokenizerError(
            f"the pattern {self.pattern!r} has {what} at position {self.at}: mend it"
        )

    def there(self, text: str) -> bool:
        """Whether this comes next; if so it is passed."""
        found = self.pattern.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def next(self) -> str:
        if self.at >= len(self.pattern):
            raise self.problem("an end where something must follow")
        self.at += 1
        return self.pattern[self.at - 1]

    def alternatives(self) -> Node:
        options = [self.sequence()]
        while self.there("|"):
            options.append(self.sequence())
        return options[0] if len(options) == 1 else Alternatives(tuple(options))

    def sequence(self) -> Node:
        parts: list[Node] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            parts.append(self.repeated(self.atom()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def repeated(self, part: Node) -> Node:
        if self.there("?"):
            return Repeated(part, 0, 1)
        if self.there("*"):
            return Repeated(part, 0, None)
        if self.there("+"):
            return Repeated(part, 1, None)
        if self.there("{"):
            end = self.pattern.find("}", self.at)
            least, _, most = self.pattern[self.at : end].partition(",")
            if not (least + most).isdecimal():
                raise self.problem("a repetition that is not known here")
            self.at = end + 1
            return Repeated(part, int(least), int(most or least))
        return part

    def atom(self) -> Node:
        if self.there("(?!\\S)"):
            return Before(Characters(ranges=WHITE))
        if self.there("$"):
            return Before()
        if self.there("["):
            return self.character_class()
        if self.pattern[self.at] == "(":
            return self.group()
        if self.pattern[self.at] in "?*+{.^":
            raise self.problem("something that is not known here")
        categories, ranges, negated = self.item()
        return Characters(categories, ranges, negated)

    def group(self) -> Node:
        outside = self.any_case
        self.any_case = self.there("(?i:") or outside
        if not self.any_case or outside:
            _ = self.there("(?:") or self.there("(")
        if self.follows("?"):
            raise self.problem("a group that is not known here")
        node = self.alternatives()
        self.any_case = outside
        if not self.there(")"):
            raise self.problem("an open parenthesis")
        return node

    def character_class(self) -> Characters:
        negated = self.there("^")
        halves = [Characters()]
        while not self.there("]"):
            if self.there("--"):
                halves.append(Characters())
                continue
            categories, ranges, odd = self.item()
            if odd:
                raise self.problem("a negated class in a class")
            if len(ranges) == 1 and self.follows("-") and not self.follows("--"):
                self.at += 1
                (first, _), ((_, last),) = next(iter(ranges)), self.item()[1]
                ranges = self.cases(first, last)
            halves[-1] = Characters(halves[-1].categories | categories, halves[-1].ranges | ranges)
        without = halves[1] if len(halves) > 1 else None
        return Characters(halves[0].categories, halves[0].ranges, negated, without)

    def follows(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def item(self) -> tuple[frozenset[int], frozenset[Range], bool]:
        """One character, or an escape for several."""
        nothing: frozenset[int] = frozenset()
        char = self.next()
        if char != "\\":
            return nothing, self.cases(ord(char), ord(char)), False
        char = self.next()
        if char in "sS":
            return nothing, WHITE, char == "S"
        if char == "p":
            end = self.pattern.find("}", self.at)
            name = self.pattern[self.at + 1 : end]
            if name not in CATEGORIES:
                raise self.problem("a class that is not known here")
            self.at = end + 1
            return frozenset([CATEGORIES[name]]), frozenset(), False
        if char.isalnum() and char not in ESCAPES:
            raise self.problem("an escape that is not known here")
        point = ord(ESCAPES.get(char, char))
        return nothing, frozenset([(point, point)]), False

    def cases(self, first: int, last: int) -> frozenset[Range]:
        """A range; without regard to case also its other letters, which are then ASCII."""
        ranges = {(first, last)}
        if self.any_case and chr(first).isalpha():
            ranges |= {(ord(chr(first).lower()), ord(chr(last).lower()))}
            ranges |= {(ord(chr(first).upper()), ord(chr(last).upper()))}
        return frozenset(ranges)
