"""The bytes of a vocabulary as a trie in arrays, and a walk through it and an automaton at once."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..jit import kernel


class Trie:
    """Nodes in the order of their texts, so that what begins with a node follows it.

    `bytes` leads to a node, `depth` is the length of its text, `skip` the next node that does not
    begin with it, and `order[first[i] : first[i + 1]]` are the tokens whose text is that of node i.
    Tokens without text, and with a byte 0 in it, are in no text.
    """

    def __init__(self, pieces: Sequence[bytes], left_out: frozenset[int] = frozenset()) -> None:
        self.n_vocab = len(pieces)
        self.left_out = left_out
        spelled = [
            id for id, piece in enumerate(pieces) if piece and id not in left_out and 0 not in piece
        ]
        spelled.sort(key=pieces.__getitem__)
        self.order = np.array(spelled, np.int32)
        self.has_text = np.zeros(self.n_vocab, np.bool_)
        self.has_text[self.order] = True
        texts = [pieces[id] for id in spelled]
        flat = np.frombuffer(b"".join(texts), np.uint8)
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        longest = max(map(len, texts), default=0)
        n = 1 + count_nodes(flat, ends)
        self.bytes = np.zeros(n, np.uint8)
        self.depth = np.zeros(n, np.int32)
        self.skip = np.full(n, n, np.int32)
        self.first = np.zeros(n + 1, np.int32)
        build(flat, ends, self.bytes, self.depth, self.skip, self.first, np.zeros(longest + 2, int))
        self.stack = np.zeros(longest + 2, np.int32)

    def __len__(self) -> int:
        return len(self.bytes)


@kernel
def shared_length(flat, start, end, other, other_end):
    n = 0
    while start + n < end and other + n < other_end and flat[start + n] == flat[other + n]:
        n += 1
    return n


@kernel
def count_nodes(flat, ends):
    """How many nodes the sorted texts have, without the root."""
    count = 0
    for t in range(len(ends) - 1):
        length = ends[t + 1] - ends[t]
        if t:
            length -= shared_length(flat, ends[t], ends[t + 1], ends[t - 1], ends[t])
        count += length
    return count


@kernel
def build(flat, ends, byte, depth, skip, first, path):
    """Fill the arrays of a trie from sorted texts. `path` holds the nodes of the last text."""
    n, open_depth = 1, 0
    for t in range(len(ends) - 1):
        length = ends[t + 1] - ends[t]
        shared = 0
        if t:
            shared = shared_length(flat, ends[t], ends[t + 1], ends[t - 1], ends[t])
        if shared < length:
            for d in range(shared + 1, open_depth + 1):
                skip[path[d]] = n
            for d in range(shared, length):
                byte[n] = flat[ends[t] + d]
                depth[n] = d + 1
                path[d + 1] = n
                n += 1
            open_depth = length
        first[path[length] + 1] += 1
    for i in range(len(first) - 1):
        first[i + 1] += first[i]


@kernel
def walk(
    nodes,
    states,
    byte,
    depth,
    skip,
    first,
    order,
    class_of,
    table,
    known,
    leaves,
    stops,
    stack,
    allowed,
    exits,
    open_nodes,
    open_states,
):
    """Go down the trie from nodes, each with a state, as far as the automaton goes.

    For each state: whether its row of the table is `known`, whether the rule may end in it
    (`leaves`), and whether a token may (`stops`).

    Marks the tokens that it comes by, lists the nodes at which the automaton may be left (`exits`),
    and those from where it cannot go on because the arcs of the state are not known (`open`).
    """
    n_exits = n_open = 0
    for k in range(len(nodes)):
        node, state = nodes[k], states[k]
        if not known[state]:
            open_nodes[n_open], open_states[n_open] = node, state
            n_open += 1
            continue
        if leaves[state]:
            exits[n_exits] = node
            n_exits += 1
        stack[depth[node]] = state
        i, end = node + 1, skip[node]
        while i < end:
            d = depth[i]
            target = table[stack[d - 1], class_of[byte[i]]]
            if target < 0:
                i = skip[i]
                continue
            if stops[target]:
                for t in range(first[i], first[i + 1]):
                    allowed[order[t]] = True
            if skip[i] == i + 1:
                i += 1
                continue
            if not known[target]:
                open_nodes[n_open], open_states[n_open] = i, target
                n_open += 1
                i = skip[i]
                continue
            if leaves[target]:
                exits[n_exits] = i
                n_exits += 1
            stack[d] = target
            i += 1
    return n_exits, n_open


_tries: weakref.WeakKeyDictionary[Any, Trie] = weakref.WeakKeyDictionary()


def trie_of(tokenizer: Any) -> Trie:
    """The trie of a tokenizer's vocabulary; it is made once. Special tokens stand for their text;
    those that end a text stand for nothing.
    """
    found = _tries.get(tokenizer)
    if found is None:
        pieces = [tokenizer.piece(id, special=True) for id in range(len(tokenizer))]
        found = _tries[tokenizer] = Trie(pieces, frozenset(tokenizer.end_tokens))
    return found
