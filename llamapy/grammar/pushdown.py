"""Where a text may stand in a grammar: states, and the steps between them.

A state is a set of places. A place is a node, and what is underneath: the rules that are to be
continued once the rule of that node has ended. Rules that were called in the same place share what
they are called from, so that a grammar with many ways to read a text needs few places.
"""

from __future__ import annotations

import heapq
import weakref
from collections.abc import Iterable
from typing import TypeAlias

from ..errors import GrammarError
from .graph import Graph

MAX_WAYS = 20_000
MAX_REMEMBERED = 200_000  # places in all states that are remembered


class Under:
    """What to continue with when a rule ends: any of these nodes, each with what is under it."""

    __slots__ = ("__weakref__", "frames")

    def __init__(self, frames: frozenset[Frame]) -> None:
        self.frames = frames


Frame: TypeAlias = "tuple[int, Under | None]"
Place: TypeAlias = tuple[int, Under]
State: TypeAlias = frozenset[Place]

# the frame of a text that ends with its rule
OUTSIDE: Frame = (-1, None)
BOTTOM = Under(frozenset({OUTSIDE}))


class Ways:
    """What may come next in a state: nodes with arcs; whether the text may be over."""

    __slots__ = ("is_complete", "nodes")

    def __init__(self, nodes: list[tuple[int, Under]], is_complete: bool) -> None:
        self.nodes, self.is_complete = nodes, is_complete


def check(n_ways: int) -> None:
    if n_ways > MAX_WAYS:
        raise GrammarError(
            f"the grammar can be read in more than {MAX_WAYS} ways at once: make its rules differ "
            f"sooner, and leave fewer of them empty"
        )


class Pushdown:
    """The steps that a graph allows. What was found out is remembered."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._unders: weakref.WeakValueDictionary[frozenset[Frame], Under]
        self._unders = weakref.WeakValueDictionary({BOTTOM.frames: BOTTOM})
        self._ways: dict[State, Ways] = {}
        self._steps: dict[tuple[State, int], State] = {}
        self._n_remembered = 0
        self.start: State = frozenset({(graph.starts[graph.root], BOTTOM)})

    def under(self, frames: Iterable[Frame]) -> Under:
        key = frozenset(frames)
        found = self._unders.get(key)
        if found is None:
            found = self._unders[key] = Under(key)
        return found

    def ways(self, state: State) -> Ways:
        found = self._ways.get(state)
        if found is None:
            found = self._find_ways(state)
            self._remember(len(found.nodes))
            self._ways[state] = found
        return found

    def _remember(self, n_places: int) -> None:
        self._n_remembered += 1 + n_places
        if self._n_remembered > MAX_REMEMBERED:
            self._n_remembered = 0
            self._ways.clear()
            self._steps.clear()

    def _find_ways(self, state: State) -> Ways:
        graph = self.graph
        nodes: list[tuple[int, Under]] = []
        is_complete = False
        callers: dict[int, set[Frame]] = {}
        waiting: list[tuple[int, int]] = []

        def call(rule: int, target: int, under: Under) -> None:
            if rule not in callers:
                callers[rule] = set()
                heapq.heappush(waiting, (graph.rank[rule], rule))
            # who calls at his very end need not be come back to
            if graph.reach(target).only_ends:
                callers[rule] |= under.frames
            else:
                callers[rule].add((target, under))

        seen: set[Place] = set()
        todo = list(state)
        n_ways = 0
        while todo:
            check(len(seen) + len(nodes))
            place = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            node, under = place
            reach = graph.reach(node)
            nodes += [(found, under) for found in reach.nodes]
            for rule, target in reach.calls:
                call(rule, target, under)
            if reach.ends:
                for following, below in under.frames:
                    if below is None:
                        is_complete = True
                    else:
                        todo.append((following, below))
        while waiting:
            _, rule = heapq.heappop(waiting)
            n_ways += len(callers[rule])
            check(n_ways + len(nodes))
            under = self.under(callers[rule])
            reach = graph.reach(graph.starts[rule])
            nodes += [(found, under) for found in reach.nodes]
            for called, target in reach.calls:
                call(called, target, under)
        return Ways(nodes, is_complete)

    def step(self, state: State, byte: int) -> State:
        """Where a byte leads; the empty set is nowhere."""
        key = (state, byte)
        found = self._steps.get(key)
        if found is None:
            arcs = self.graph.bytes
            found = frozenset(
                (target, under)
                for node, under in self.ways(state).nodes
                for low, high, target in arcs[node]
                if low <= byte <= high
            )
            self._remember(len(found))
            self._steps[key] = found
        return found

    def token_step(self, state: State, token: int) -> State:
        """Where a token leads that the grammar names, or does not exclude."""
        if not self.graph.has_tokens:
            return frozenset()
        arcs = self.graph.tokens
        return frozenset(
            (target, under)
            for node, under in self.ways(state).nodes
            for named, negated, target in arcs[node]
            if (named == token) != negated
        )

    def read(self, state: State, data: bytes) -> State:
        for byte in data:
            if not state:
                break
            state = self.step(state, byte)
        return state

    def stoppable(self, state: State) -> State:
        """The places of a state at which a token may end."""
        never = self.graph.unstoppable
        if not never:
            return state
        return frozenset(place for place in state if place[0] not in never)

    def is_complete(self, state: State) -> bool:
        return bool(state) and self.ways(state).is_complete
