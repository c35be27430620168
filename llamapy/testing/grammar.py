"""Texts drawn from a grammar, and a tokenizer of plain pieces to follow them with."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ..grammar import Grammar


def random_text(grammar: Grammar, seed: int, *, longest: int = 400, tries: int = 200) -> str | None:
    """A text that the grammar allows, drawn byte by byte; None if none came to its end in time."""
    chance = random.Random(seed)
    pushdown = grammar.pushdown
    for _ in range(tries):
        state, text = pushdown.start, bytearray()
        while len(text) < longest:
            ways = pushdown.ways(state)
            arcs = [arc for node, _ in ways.nodes for arc in pushdown.graph.bytes[node]]
            if ways.is_complete and (not arcs or chance.random() < 0.3):
                try:
                    return text.decode()
                except UnicodeDecodeError:  # GBNF allows bytes that no UTF-8 has
                    break
            assert arcs, f"{grammar!r}: {bytes(text)!r} leads nowhere"
            low, high, _ = chance.choice(arcs)
            text.append(chance.randint(low, high))
            state = pushdown.step(state, text[-1])
    return None


class PieceTokenizer:
    """Tokens that are given as bytes; those in `ends` end a text. Encoding takes the longest."""

    def __init__(self, pieces: Sequence[bytes], ends: Sequence[int] = ()) -> None:
        self.pieces, self.end_tokens = list(pieces), frozenset(ends)
        self._ids = {piece: id for id, piece in reversed(list(enumerate(self.pieces)))}

    def __len__(self) -> int:
        return len(self.pieces)

    def piece(self, id: int, *, special: bool = False) -> bytes:
        return self.pieces[id]

    def encode(self, text: str, *, special: bool = False, bos: bool | None = None) -> list[int]:
        data, ids = text.encode(), []
        while data:
            size = max(n for n in range(1, len(data) + 1) if data[:n] in self._ids)
            ids.append(self._ids[data[:size]])
            data = data[size:]
        return ids

    @classmethod
    def of_bytes(cls, words: Sequence[str] = ()) -> PieceTokenizer:
        """One token for each byte but 0, then these words, then one that ends a text."""
        pieces = [bytes([i]) for i in range(1, 256)] + [word.encode() for word in words]
        return cls([*pieces, b"</s>"], [len(pieces)])
