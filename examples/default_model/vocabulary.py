"""The vocabulary: byte pairs that are frequent in the stories, merged until there are 2048 tokens.

`python vocabulary.py` learns it and shows some of it; it takes some seconds.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex
from conversation import Message, converse
from story import tell

N_TOKENS = 2048
N_DOCUMENTS = 6000

BEGIN, END, SYSTEM, USER, ASSISTANT = (
    "<|begin|>",
    "<|end|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
)
CONTROL = (BEGIN, END, SYSTEM, USER, ASSISTANT)

# how GPT-2 cuts a text before pairs are merged
PIECE = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")

# what stands before each message and after it; generation begins after the assistant's mark
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('this model knows the roles system, user and assistant') }}{% endif %}"
    "{{ '<|' + message.role + '|>' + message.content | trim + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def byte_letters() -> dict[int, str]:
    """GPT-2's letter for each byte: itself if it can be seen, else one from 256 on."""
    seen = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {byte: chr(byte) for byte in seen}
    for byte in range(256):
        letters.setdefault(byte, chr(256 + len(letters) - len(seen)))
    return letters


LETTERS = byte_letters()


def pieces(text: str) -> list[str]:
    """The pieces of a text, in letters for bytes."""
    return ["".join(LETTERS[byte] for byte in piece.encode()) for piece in PIECE.findall(text)]


def documents(name: str, start: int = 0) -> Iterable[str | list[Message]]:
    """Stories and conversations without end, the same ones for the same name."""
    while True:
        rng = random.Random(f"{name} {start}")
        chance = rng.random()
        yield tell(rng, short=chance < 0.02).text if chance < 0.3 else converse(rng)
        start += 1


def texts_of(document: str | list[Message]) -> list[str]:
    if isinstance(document, str):
        return [document]
    return [message["content"] for message in document]


def learn(counts: Counter[str], n_merges: int) -> list[tuple[str, str]]:
    """Byte-pair encoding: the most frequent pair of neighbours becomes a token, and so on."""
    words = [(list(piece), count) for piece, count in sorted(counts.items())]
    found: Counter[tuple[str, str]] = Counter()
    where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for i, (parts, count) in enumerate(words):
        for pair in itertools.pairwise(parts):
            found[pair] += count
            where[pair].add(i)
    heap = [(-count, pair) for pair, count in found.items()]
    heapq.heapify(heap)
    merges: list[tuple[str, str]] = []
    while len(merges) < n_merges and heap:
        count, pair = heapq.heappop(heap)
        if found[pair] != -count or not count:
            continue  # its count has changed since: the entry that says so is further down
        merges.append(pair)
        changed = set()
        for i in where.pop(pair):
            parts, weight = words[i]
            for old in itertools.pairwise(list(parts)):
                found[old] -= weight
                changed.add(old)
            merged(parts, pair)
            for new in itertools.pairwise(parts):
                found[new] += weight
                where[new].add(i)
                changed.add(new)
        for each in changed:
            heapq.heappush(heap, (-found[each], each))
    return merges


def merged(parts: list[str], pair: tuple[str, str]) -> None:
    """Join each occurrence of the pair, from the left."""
    i = 0
    while i < len(parts) - 1:
        if (parts[i], parts[i + 1]) == pair:
            parts[i : i + 2] = ["".join(pair)]
        i += 1


@dataclass(frozen=True)
class Vocabulary:
    """Tokens and merges, and what trains on them: the ids of a document."""

    tokens: Sequence[str]
    merges: Sequence[tuple[str, str]]

    def as_json(self) -> str:
        return json.dumps([list(self.tokens), [list(pair) for pair in self.merges]])

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        tokens, merges = json.loads(text)
        return cls(tokens, [(left, right) for left, right in merges])

    @functools.cached_property
    def ids(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}

    @functools.cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    @functools.cached_property
    def _known(self) -> dict[str, list[int]]:
        return {}

    def encode(self, text: str) -> list[int]:
        return [token for piece in pieces(text) for token in self._encode_piece(piece)]

    def _encode_piece(self, piece: str) -> list[int]:
        if piece not in self._known:
            parts = list(piece)
            while len(parts) > 1:
                best = min(
                    itertools.pairwise(parts),
                    key=lambda pair: self._ranks.get(pair, len(self.merges)),
                )
                if best not in self._ranks:
                    break
                merged(parts, best)
            self._known[piece] = [self.ids[part] for part in parts]
        return self._known[piece]

    def encode_document(self, document: str | list[Message]) -> list[int]:
        """A story, or a conversation as the chat template writes it."""
        begin, end = self.ids[BEGIN], self.ids[END]
        if isinstance(document, str):
            return [begin, *self.encode(document), end]
        tokens = [begin]
        for message in document:
            mark = self.ids[f"<|{message['role']}|>"]
            tokens += [mark, *self.encode(message["content"]), end]
        return tokens


def make(n_tokens: int = N_TOKENS, n_documents: int = N_DOCUMENTS) -> Vocabulary:
    """Learn it from as many documents."""
    counts: Counter[str] = Counter()
    for _, document in zip(range(n_documents), documents("vocabulary"), strict=False):
        for text in texts_of(document):
            counts.update(pieces(text))
    merges = learn(counts, n_tokens - len(CONTROL) - len(LETTERS))
    tokens = [*CONTROL, *sorted(LETTERS.values()), *("".join(pair) for pair in merges)]
    return Vocabulary(tokens, merges)


def main() -> None:
    vocabulary = make()
    print(f"{len(vocabulary.tokens)} tokens, the last: {' '.join(vocabulary.tokens[-40:])}")


if __name__ == "__main__":
    main()
