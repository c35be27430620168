"""Patterns as tables: one compiled walk finds the words of a text, whatever the pattern.

A pattern becomes an automaton that is in one state at a time, so nothing backtracks. States are
ordered lists of places in the pattern, the likelier one first, which gives the match that a
backtracking engine would have found: of alternatives the first one, of repetitions the longest.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernels.scanning import scan
from .patterns import (
    Alternatives,
    Before,
    Characters,
    Node,
    Repeated,
    Sequence,
    all_characters,
    classify,
    parse,
)

# ---- places of a pattern: (what to do, where to go on)

Place = tuple[str, Any, tuple[int, ...]]
START = 1  # the state in which a match begins; 0 is the one from which nothing goes on


class _Places:
    """The places of a pattern, numbered; built from its end to its beginning."""

    def __init__(self, node: Node, sets: dict[Characters, int]) -> None:
        self.places: list[Place] = [("match", None, ())]
        self.sets = sets
        self.start = self.build(node, 0)

    def add(self, what: str, which: Any, *after: int) -> int:
        self.places.append((what, which, after))
        return len(self.places) - 1

    def build(self, node: Node, after: int) -> int:
        """The place where this part begins, if what follows begins at `after`."""
        if isinstance(node, Characters):
            return self.add("take", self.sets[node], after)
        if isinstance(node, Before):
            return self.add("before", self.sets[node.characters], after)
        if isinstance(node, Sequence):
            for part in reversed(node.parts):
                after = self.build(part, after)
            return after
        if isinstance(node, Alternatives):
            return self.add("either", None, *(self.build(each, after) for each in node.options))
        return self.repeat(node, after)

    def repeat(self, node: Repeated, after: int) -> int:
        if node.most is None:
            loop = self.add("either", None)
            self.places[loop] = ("either", None, (self.build(node.part, loop), after))
            begin = loop
        else:
            begin = after
            for _ in range(node.most - node.least):
                begin = self.add("either", None, self.build(node.part, begin), after)
        for _ in range(node.least):
            begin = self.build(node.part, begin)
        return begin


def automaton(node: Node) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The class of each code point, and by state and class the next state, times two, plus one if a
    match ends before that character. The last class is the end of the text.
    """
    sets = {each: n for n, each in enumerate(dict.fromkeys(all_characters(node)))}
    classes, member = classify(list(sets))
    # the end of a text is in no set, but allows what may only stand before some
    symbols = [(frozenset(np.flatnonzero(row).tolist()), False) for row in member]
    symbols.append((frozenset(), True))
    places = _Places(node, sets)
    numbers: dict[tuple[int, ...], int] = {(): 0, (places.start,): START}
    waiting: list[tuple[int, ...]] = [(places.start,)]
    rows: dict[int, list[int]] = {0: [0] * len(symbols)}
    for state in waiting:
        row = rows.setdefault(numbers[state], [])
        for inside, ends in symbols:
            target, matched = _step(places.places, state, inside, ends)
            if target not in numbers:
                numbers[target] = len(numbers)
                waiting.append(target)
            row.append(2 * numbers[target] + matched)
    return classes, np.array([rows[n] for n in range(len(rows))], np.int32)


def _step(
    places: list[Place], state: tuple[int, ...], inside: frozenset[int], ends: bool
) -> tuple[tuple[int, ...], bool]:
    """Where the places of a state lead with one character, and whether a match ends before it."""
    target: dict[int, None] = {}
    seen: set[int] = set()
    waiting = list(reversed(state))
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        what, which, after = places[place]
        if what == "match":
            return tuple(target), True  # what is less likely counts no more
        if what == "either":
            waiting += reversed(after)
        elif what == "take":
            if which in inside:
                target[after[0]] = None
        elif ends or which in inside:
            waiting += after
    return tuple(target), False


# ---- finding words


class Scanner:
    """A pattern that parts text into words: what it matches, and what stands between matches."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.classes, self.moves = automaton(parse(pattern))

    def __call__(self, points: NDArray[np.uint32], ends: NDArray[np.int64]) -> NDArray[np.int64]:
        """Part each word, of which the ends are given, into words."""
        found = np.empty(len(points), np.int64)
        count, _ = scan(points, ends, self.classes, self.moves, found)
        return found[:count]

    def steps(self, points: NDArray[np.uint32]) -> int:
        """How many characters are looked at to find the words of a text."""
        found = np.empty(len(points), np.int64)
        ends = np.array([len(points)], np.int64)
        return int(scan(points, ends, self.classes, self.moves, found)[1])

    def __repr__(self) -> str:
        return f"Scanner({self.pattern!r})"


@functools.cache
def scanner(pattern: str) -> Scanner:
    """The scanner of a pattern, made once."""
    return Scanner(pattern)
