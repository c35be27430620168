"""Rules as a graph: nodes, and arcs between them on a byte, on a token, or through another rule."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import GrammarError
from .characters import Ranges, block, byte_ranges, overlaps
from .expressions import Alt, Chars, Expression, Machine, Ref, Repeat, Seq, TokenIs

MAX_SIZE = 100_000

# the text that a token terminal has where there are no tokens: any character, as one token
NO_TOKEN = -1


@dataclass(frozen=True, slots=True)
class Reach:
    """What can come next at a node, when everything that may be left out is left out."""

    nodes: tuple[int, ...]  # those with arcs on bytes or tokens
    calls: tuple[tuple[int, int], ...]  # rules, and the node behind each
    ends: bool  # whether the rule may end here

    @property
    def only_ends(self) -> bool:
        return self.ends and not self.nodes and not self.calls


class Graph:
    """The nodes of all rules. Rules are numbered; `starts` and `ends` are their first and last."""

    def __init__(self, rules: Mapping[str, Expression], root: str) -> None:
        self.empty: list[list[int]] = []
        self.bytes: list[list[tuple[int, int, int]]] = []
        self.calls: list[list[tuple[int, int]]] = []
        self.tokens: list[list[tuple[int | str, bool, int]]] = []
        self.size = 0
        self.names = list(rules)
        self.numbers = {name: number for number, name in enumerate(self.names)}
        self.starts = [self.node() for _ in rules]
        self.ends = [self.node() for _ in rules]
        self.unstoppable: set[int] = set()  # nodes at which no token may end
        self._between: dict[tuple[Ranges, int, bool], int] = {}
        self._reaches: dict[int, Reach] = {}
        for name, expression in rules.items():
            number = self.numbers[name]
            self.add(expression, self.starts[number], self.ends[number])
        self.root = self.numbers[root]
        self.is_end = [False] * len(self.empty)
        for end in self.ends:
            self.is_end[end] = True
        self.nullable = self._rules_that_end()
        self.rank = self._ranks()
        self.has_tokens = any(self.tokens)
        self.named_tokens = {
            token for arcs in self.tokens for token, _, _ in arcs if isinstance(token, str)
        }
        self.is_productive = self._without_dead_ends()

    # ---- building

    def node(self) -> int:
        self.empty.append([])
        self.bytes.append([])
        self.calls.append([])
        self.tokens.append([])
        self.count(4)
        return len(self.empty) - 1

    def count(self, n: int = 1) -> None:
        self.size += n
        if self.size > 4 * MAX_SIZE:
            raise GrammarError(
                f"the grammar is made of more than {MAX_SIZE} parts when its repetitions are "
                f"written out: repeat less, or less at a time"
            )

    def add(self, expression: Expression, start: int, end: int) -> None:
        """Arcs by which an expression leads from one node to another."""
        self.count()
        match expression:
            case Chars(ranges, unsure):
                self.add_characters(ranges, start, end, unsure)
            case Seq(items):
                for item in items[:-1]:
                    following = self.node()
                    self.add(item, start, following)
                    start = following
                if items:
                    self.add(items[-1], start, end)
                else:
                    self.empty[start].append(end)
            case Alt(items):
                for item in items:
                    self.add(item, start, end)
            case Ref(name):
                self.calls[start].append((self.numbers[name], end))
            case Repeat():
                self.add_repeat(expression, start, end)
            case TokenIs(token, negated):
                self.tokens[start].append((token, negated, end))
            case Machine(arcs, finals):
                nodes = [self.node() for _ in arcs]
                self.empty[start].append(nodes[0])
                for node, leaving in zip(nodes, arcs, strict=True):
                    for ranges, target in leaving:
                        self.add_characters(ranges, node, nodes[target])
                for final in finals:
                    self.empty[nodes[final]].append(end)

    def add_repeat(self, repeat: Repeat, start: int, end: int) -> None:
        for _ in range(repeat.least):
            following = self.node()
            self.add(repeat.item, start, following)
            start = following
        if repeat.most is None:
            loop = self.node()
            self.empty[start].append(loop)
            self.add(repeat.item, loop, loop)
            self.empty[loop].append(end)
            return
        for _ in range(repeat.most - repeat.least):
            self.empty[start].append(end)
            following = self.node()
            self.add(repeat.item, start, following)
            start = following
        self.empty[start].append(end)

    def add_characters(self, ranges: Ranges, start: int, end: int, unsure: Ranges = ()) -> None:
        for low, high in ranges:
            for spelled in byte_ranges(low, high):
                first, last = spelled[0]
                between = self.between(spelled, 1, end, unsure)
                self.bytes[start].append((first, last, between))
                self.count()

    def between(self, spelled: Ranges, n_read: int, end: int, unsure: Ranges) -> int:
        """The node between two bytes of a character."""
        rest = spelled[n_read:]
        if not rest:
            return end
        is_unsure = bool(unsure) and overlaps(unsure, *block(spelled, n_read))
        key = (rest, end, is_unsure)
        if key not in self._between or unsure:
            node = self._between[key] = self.node()
            following = self.between(spelled, n_read + 1, end, unsure)
            self.bytes[node].append((*rest[0], following))
            if is_unsure:
                self.unstoppable.add(node)
        return self._between[key]

    # ---- what follows from it

    def _rules_that_end(self, by_characters: bool = False) -> list[bool]:
        """Which rules may match nothing at all; or, by characters, anything at all."""
        found = [False] * len(self.names)
        waiting: dict[int, list[tuple[int, int]]] = {}  # rule -> (rule, node) behind a call of it
        reached: set[tuple[int, int]] = set()
        todo = list(enumerate(self.starts))
        while todo:
            rule, node = place = todo.pop()
            if place in reached or found[rule]:
                continue
            reached.add(place)
            if node == self.ends[rule]:
                found[rule] = True
                todo += waiting.pop(rule, [])
                continue
            todo += [(rule, target) for target in self.empty[node]]
            if by_characters:
                todo += [(rule, arc[-1]) for arc in [*self.bytes[node], *self.tokens[node]]]
            for called, target in self.calls[node]:
                if found[called]:
                    todo.append((rule, target))
                else:
                    waiting.setdefault(called, []).append((rule, target))
        return found

    def _without_dead_ends(self) -> bool:
        """Take away arcs from where no text leads to the end; whether the root has any left."""
        ending = self._rules_that_end(by_characters=True)
        back: list[list[int]] = [[] for _ in self.empty]
        for node in range(len(self.empty)):
            calls = [target for rule, target in self.calls[node] if ending[rule]]
            arcs = [arc[-1] for arc in [*self.bytes[node], *self.tokens[node]]]
            for target in [*self.empty[node], *calls, *arcs]:
                back[target].append(node)
        alive, todo = set(self.ends), list(self.ends)
        while todo:
            for node in back[todo.pop()]:
                if node not in alive:
                    alive.add(node)
                    todo.append(node)
        for node in range(len(self.empty)):
            self.empty[node] = [target for target in self.empty[node] if target in alive]
            self.bytes[node] = [arc for arc in self.bytes[node] if arc[-1] in alive]
            self.tokens[node] = [arc for arc in self.tokens[node] if arc[-1] in alive]
            self.calls[node] = [
                (rule, target)
                for rule, target in self.calls[node]
                if ending[rule] and target in alive
            ]
        self._reaches.clear()
        return ending[self.root]

    def with_tokens(self, ids: Mapping[str, int]) -> Graph:
        """The same with ids for the texts of tokens."""
        other = copy.copy(self)
        other.tokens = [
            [(ids[t] if isinstance(t, str) else t, negated, target) for t, negated, target in arcs]
            for arcs in self.tokens
        ]
        other.named_tokens = set()
        return other

    def reach(self, node: int) -> Reach:
        if node not in self._reaches:
            self._reaches[node] = self._reach(node)
        return self._reaches[node]

    def _reach(self, node: int) -> Reach:
        seen, todo = {node}, [node]
        nodes, calls, ends = [], [], False
        while todo:
            at = todo.pop()
            ends = ends or self.is_end[at]
            if self.bytes[at] or self.tokens[at]:
                nodes.append(at)
            calls += self.calls[at]
            skipped = [target for rule, target in self.calls[at] if self.nullable[rule]]
            for target in self.empty[at] + skipped:
                if target not in seen:
                    seen.add(target)
                    todo.append(target)
        return Reach(tuple(sorted(nodes)), tuple(sorted(set(calls))), ends)

    def _ranks(self) -> list[int]:
        """An order of rules in which each comes before those that it may begin with.

        A rule that may begin with itself has no place in it, and is refused.
        """
        rank = [-1] * len(self.names)
        finished = 0
        path: dict[int, None] = {}
        for first in range(len(self.names)):
            todo = [(first, False)]
            while todo:
                rule, done = todo.pop()
                if done:
                    del path[rule]
                    rank[rule] = finished
                    finished += 1
                elif rule in path:
                    self._refuse_left_recursion([*path], rule)
                elif rank[rule] < 0:
                    path[rule] = None
                    todo.append((rule, True))
                    begins = {called for called, _ in self.reach(self.starts[rule]).calls}
                    todo += [(called, False) for called in sorted(begins)]
        return [finished - place for place in rank]

    def _refuse_left_recursion(self, path: list[int], rule: int) -> None:
        circle = [self.names[i] for i in path[path.index(rule) :]]
        shown = " -> ".join([*circle[:8], *(["..."] if len(circle) > 8 else []), circle[0]])
        raise GrammarError(
            f"the rule {circle[0]!r} begins with itself ({shown}), so that it can never begin: "
            f"write the repetition behind what it begins with, as in  list ::= item (',' item)*"
        )
