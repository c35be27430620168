"""Which tokens a state allows.

What a token may do in a rule does not depend on where the rule was called from, as long as the
token does not end it. So each node of the grammar is looked at once, with nothing underneath: which
tokens stay within the rule, and where in the trie others leave it. Those are followed from the
node underneath, which again is looked at once for the same places in the trie. A mask puts
together what is known of the nodes that a state is made of.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .pushdown import BOTTOM, Pushdown, State, Under
from .trie import Trie, walk

MAX_FOUND = 2_000  # nodes whose tokens are remembered: 32 MB for 128k tokens
MAX_STATES = 20_000
MAX_EXITS = 10_000
ROOT = 0  # the number of the set of places in the trie that is its root alone


@dataclass(frozen=True, slots=True)
class Found:
    """The tokens that a node allows: as bits if they are many, and as ids if they are few."""

    bits: NDArray[np.uint8] | None
    ids: NDArray[np.intp] | None
    exits: int | None  # the places where a token leaves the node's rule


class Masks:
    """The masks of one grammar over one vocabulary."""

    def __init__(self, pushdown: Pushdown, trie: Trie) -> None:
        self.pushdown, self.trie = pushdown, trie
        self.class_of, self.classes = _byte_classes(pushdown)
        self._found: OrderedDict[tuple[int, int], Found] = OrderedDict()
        n = len(trie)
        self._buffers = [np.zeros(n + 1, np.int32) for _ in range(3)]
        self._forget_states()
        self._forget_exits()

    def _forget_states(self) -> None:
        self._ids: dict[State, int] = {}
        self._states: list[State] = []
        self._table = np.full((64, len(self.classes)), -1, np.int32)
        self._known = np.zeros(64, np.bool_)
        self._leaves = np.zeros(64, np.bool_)
        self._stops = np.zeros(64, np.bool_)

    def _forget_exits(self) -> None:
        root = np.zeros(1, np.int32)
        self._exits, self._exit_numbers = [root], {root.tobytes(): ROOT}
        self._found.clear()

    # ---- the mask of a state

    def mask(self, state: State) -> NDArray[np.bool_]:
        """Which tokens may come next, without those that end a text."""
        trie = self.trie
        bits = np.zeros((trie.n_vocab + 7) // 8, np.uint8)
        few = []
        if len(self._exits) > MAX_EXITS:
            self._forget_exits()
        todo: list[tuple[int, Under, int]] = [(node, under, ROOT) for node, under in state]
        seen = set(todo)
        while todo:
            node, under, places = todo.pop()
            found = self.found(node, places)
            if found.bits is not None:
                np.bitwise_or(bits, found.bits, out=bits)
            elif found.ids is not None:
                few.append(found.ids)
            if found.exits is not None:
                for following, below in under.frames:
                    if below is not None and (item := (following, below, found.exits)) not in seen:
                        seen.add(item)
                        todo.append(item)
        mask = np.unpackbits(bits, count=trie.n_vocab).view(np.bool_)
        for ids in few:
            mask[ids] = True
        if self.pushdown.graph.has_tokens:
            self._add_tokens(state, mask)
        return mask

    def _add_tokens(self, state: State, mask: NDArray[np.bool_]) -> None:
        """The tokens that the grammar names."""
        trie, arcs = self.trie, self.pushdown.graph.tokens
        for node, _ in self.pushdown.ways(state).nodes:
            for token, negated, _ in arcs[node]:
                assert isinstance(token, int)  # names are ids by now
                there = token < trie.n_vocab
                if negated:
                    kept = there and mask[token]
                    mask |= trie.has_text
                    if there:
                        mask[token] = kept
                elif there:
                    mask[token] = mask[token] or trie.has_text[token]

    # ---- what is known of a node

    def found(self, node: int, places: int) -> Found:
        """The tokens that go on from places in the trie and a node, within its rule."""
        key = (node, places)
        known = self._found.get(key)
        if known is not None:
            self._found.move_to_end(key)
            return known
        if len(self._found) >= MAX_FOUND:
            self._found.popitem(last=False)
        allowed, exits = self._walk(node, self._exits[places])
        ids = np.flatnonzero(allowed)
        few = len(ids) * 64 < len(allowed)
        known = self._found[key] = Found(
            None if few else np.packbits(allowed),
            ids if few and len(ids) else None,
            self._number(exits) if len(exits) else None,
        )
        return known

    def _number(self, exits: NDArray[np.int32]) -> int:
        key = exits.tobytes()
        if key not in self._exit_numbers:
            self._exit_numbers[key] = len(self._exits)
            self._exits.append(exits)
        return self._exit_numbers[key]

    def _walk(
        self, node: int, places: NDArray[np.int32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
        trie = self.trie
        if len(self._states) > MAX_STATES:
            self._forget_states()
        allowed = np.zeros(trie.n_vocab, np.bool_)
        found = []
        nodes = places
        states = np.full(len(nodes), self._state(frozenset({(node, BOTTOM)})), np.int32)
        while len(nodes):
            for state in np.unique(states):
                self._know(int(state))
            n_exits, n_open = walk(
                nodes,
                states,
                trie.bytes,
                trie.depth,
                trie.skip,
                trie.first,
                trie.order,
                self.class_of,
                self._table,
                self._known,
                self._leaves,
                self._stops,
                trie.stack,
                allowed,
                *self._buffers,
            )
            exits, open_nodes, open_states = self._buffers
            exits = exits[:n_exits]
            has_more = trie.skip[exits] > exits + 1
            found.append(exits[has_more])
            nodes, states = open_nodes[:n_open].copy(), open_states[:n_open].copy()
        return allowed, np.unique(np.concatenate(found))

    def _state(self, state: State) -> int:
        number = self._ids.get(state)
        if number is None:
            number = self._ids[state] = len(self._states)
            self._states.append(state)
            if number == len(self._known):
                self._table = np.concatenate([self._table, np.full_like(self._table, -1)])
                self._known = np.concatenate([self._known, np.zeros_like(self._known)])
                self._leaves = np.concatenate([self._leaves, np.zeros_like(self._leaves)])
                self._stops = np.concatenate([self._stops, np.zeros_like(self._stops)])
            self._stops[number] = bool(self.pushdown.stoppable(state))
        return number

    def _know(self, number: int) -> None:
        """Find out where a state's arcs lead."""
        if self._known[number]:
            return
        ways = self.pushdown.ways(self._states[number])
        arcs, class_of = self.pushdown.graph.bytes, self.class_of
        targets: dict[int, set[tuple[int, Under]]] = {}
        for node, under in ways.nodes:
            for low, high, target in arcs[node]:
                for c in range(class_of[low], class_of[high] + 1):
                    targets.setdefault(c, set()).add((target, under))
        for c, places in targets.items():
            target = self._state(frozenset(places))
            self._table[number, c] = target
        self._known[number] = True
        self._leaves[number] = ways.is_complete


def _byte_classes(pushdown: Pushdown) -> tuple[NDArray[np.uint8], list[int]]:
    """Bytes that no arc tells apart are one class: each byte's class, and their first bytes."""
    begins = {0}
    for arcs in pushdown.graph.bytes:
        for low, high, _ in arcs:
            begins |= {low, high + 1}
    firsts = sorted(begins - {256})
    marks = np.zeros(256, np.int64)
    marks[firsts] = 1
    return (np.cumsum(marks) - 1).astype(np.uint8), firsts
