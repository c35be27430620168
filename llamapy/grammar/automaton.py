"""Sets of strings as finite automata over characters, to be intersected and subtracted."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import GrammarError
from .characters import Ranges, contains, difference, intersection, ranges_of
from .expressions import Alt, Chars, Expression, Machine, Repeat, Seq
from .regex import ANY

MAX_STATES = 6_000
MAX_JOINED = 400  # larger ones, mostly chains, are left as they are: joining takes its square
DEAD = -1

Key = TypeVar("Key", bound=Hashable)
Arc = tuple[Ranges, int]


@dataclass(frozen=True)
class Automaton:
    """A set of strings. From state 0 the arcs of each state lead on, one for a character at most;
    a string that ends in a final state is in the set.
    """

    arcs: tuple[tuple[Arc, ...], ...]
    finals: frozenset[int]

    def step(self, state: int, code: int) -> int:
        for ranges, target in self.arcs[state]:
            if contains(ranges, code):
                return target
        return DEAD

    def __contains__(self, text: str) -> bool:
        state = 0
        for c in text:
            state = self.step(state, ord(c))
            if state == DEAD:
                return False
        return state in self.finals

    def __and__(self, other: Automaton) -> Automaton:
        return _product(self, other, lambda a, b: a and b)

    def __sub__(self, other: Automaton) -> Automaton:
        return _product(self, other, lambda a, b: a and not b)

    @property
    def is_empty(self) -> bool:
        return not self.finals

    def is_free(self, state: int) -> bool:
        """Whether any string may follow."""
        return state in self.finals and self.arcs[state] == ((ANY, state),)

    def as_expression(self) -> Machine:
        return Machine(self.arcs, self.finals)


def explore(
    start: Key,
    leave: Callable[[Key], Iterable[tuple[Ranges, Key]]],
    is_final: Callable[[Key], bool],
) -> Automaton:
    """The automaton of all states that can be reached, without those that lead nowhere."""
    numbers: dict[Key, int] = {start: 0}
    keys, arcs = [start], []
    for key in keys:
        joined: dict[int, list[tuple[int, int]]] = {}
        for ranges, target in leave(key):
            if target not in numbers:
                numbers[target] = len(keys)
                keys.append(target)
                if len(keys) > MAX_STATES:
                    raise GrammarError(
                        f"the demands on a value take more than {MAX_STATES} states together: ask "
                        f"for less at a time"
                    )
            number = numbers[target]
            joined.setdefault(number, []).extend(ranges)
        arcs.append([(ranges_of(parts), target) for target, parts in joined.items() if parts])
    finals = {number for key, number in numbers.items() if is_final(key)}
    return _trimmed(arcs, finals)


def _trimmed(arcs: list[list[Arc]], finals: set[int]) -> Automaton:
    """Without states from which no final one can be reached."""
    back: list[list[int]] = [[] for _ in arcs]
    for state, leaving in enumerate(arcs):
        for _, target in leaving:
            back[target].append(state)
    alive, todo = set(finals), list(finals)
    while todo:
        for state in back[todo.pop()]:
            if state not in alive:
                alive.add(state)
                todo.append(state)
    kept = [0, *sorted(alive - {0})]
    numbers = {state: number for number, state in enumerate(kept)}
    return _minimal(
        [[(r, numbers[t]) for r, t in arcs[state] if t in alive] for state in kept],
        {numbers[state] for state in finals},
    )


def _minimal(arcs: list[list[Arc]], finals: set[int]) -> Automaton:
    """States from which the same strings lead to an end are one (Moore's refinement)."""
    if len(arcs) > MAX_JOINED:
        return Automaton(tuple(map(tuple, arcs)), frozenset(finals))
    group = [int(state in finals) for state in range(len(arcs))]
    n_groups = 0
    while True:
        marks: dict[Any, int] = {}
        refined = []
        for state, leaving in enumerate(arcs):
            joined: dict[int, list[tuple[int, int]]] = {}
            for ranges, target in leaving:
                joined.setdefault(group[target], []).extend(ranges)
            mark = (group[state], frozenset((g, ranges_of(r)) for g, r in joined.items()))
            refined.append(marks.setdefault(mark, len(marks)))
        group = refined
        if len(marks) == n_groups:
            break
        n_groups = len(marks)
    chosen: dict[int, int] = {}
    for state, g in enumerate(group):
        chosen.setdefault(g, state)
    result = []
    for g in range(n_groups):
        joined = {}
        for ranges, target in arcs[chosen[g]]:
            joined.setdefault(group[target], []).extend(ranges)
        result.append(tuple((ranges_of(r), target) for target, r in sorted(joined.items())))
    return Automaton(tuple(result), frozenset(group[state] for state in finals))


def _product(a: Automaton, b: Automaton, is_final: Callable[[bool, bool], bool]) -> Automaton:
    def leave(pair: tuple[int, int]) -> Iterable[tuple[Ranges, tuple[int, int]]]:
        first, second = pair
        for ranges, target in a.arcs[first]:
            rest = ranges
            for others, other in b.arcs[second] if second != DEAD else ():
                both = intersection(ranges, others)
                if both:
                    yield both, (target, other)
                    rest = difference(rest, others)
            if rest:
                yield rest, (target, DEAD)

    return explore((0, 0), leave, lambda p: is_final(p[0] in a.finals, p[1] in b.finals))


# ---- from expressions


def automaton(expression: Expression) -> Automaton:
    """The strings that an expression without rules and tokens matches."""
    empty: list[list[int]] = []
    arcs: list[list[Arc]] = []

    def node() -> int:
        if len(empty) > MAX_STATES:
            raise GrammarError(
                f"a pattern is made of more than {MAX_STATES} parts when its repetitions are "
                f"written out: repeat less"
            )
        empty.append([])
        arcs.append([])
        return len(empty) - 1

    def add(part: Expression, start: int) -> int:
        """The node to which a part leads from another one."""
        match part:
            case Chars(ranges):
                end = node()
                arcs[start].append((ranges, end))
                return end
            case Seq(items):
                for item in items:
                    start = add(item, start)
                return start
            case Alt(items):
                end = node()
                for item in items:
                    empty[add(item, start)].append(end)
                return end
            case Repeat(item, least, most):
                for _ in range(least):
                    start = add(item, start)
                if most is None:
                    loop = node()
                    empty[start].append(loop)
                    empty[add(item, loop)].append(loop)
                    return loop
                end = node()
                for _ in range(most - least):
                    empty[start].append(end)
                    start = add(item, start)
                empty[start].append(end)
                return end
        raise GrammarError(f"{part!r} is no part of a pattern")

    last = add(expression, node())

    def closed(nodes: Iterable[int]) -> frozenset[int]:
        seen, todo = set(nodes), list(nodes)
        while todo:
            for target in empty[todo.pop()]:
                if target not in seen:
                    seen.add(target)
                    todo.append(target)
        return frozenset(n for n in seen if arcs[n] or n == last)

    def leave(nodes: frozenset[int]) -> Iterable[tuple[Ranges, frozenset[int]]]:
        leaving = [arc for n in nodes for arc in arcs[n]]
        for ranges, targets in apart(leaving):
            yield ranges, closed(targets)

    return explore(closed([0]), leave, lambda nodes: last in nodes)


def apart(arcs: list[Arc]) -> list[tuple[Ranges, frozenset[int]]]:
    """Sets of characters that have none in common, each with all targets of its characters."""
    edges: dict[int, list[tuple[bool, int]]] = {}
    for ranges, target in arcs:
        for low, high in ranges:
            edges.setdefault(low, []).append((True, target))
            edges.setdefault(high + 1, []).append((False, target))
    found: dict[frozenset[int], list[tuple[int, int]]] = {}
    count: dict[int, int] = {}
    before = 0
    for at in sorted(edges):
        if count:
            found.setdefault(frozenset(count), []).append((before, at - 1))
        for begins, target in edges[at]:
            count[target] = count.get(target, 0) + (1 if begins else -1)
            if not count[target]:
                del count[target]
        before = at
    return [(ranges_of(parts), targets) for targets, parts in found.items()]
