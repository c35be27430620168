"""Milliseconds to know which tokens a JSON grammar allows, beside llguidance.

usage: python -m benchmarks.grammar VOCABULARY.gguf [--json FILE]

Both follow the same JSON texts token by token, for the same schema and vocabulary. `first` is the
first time through the texts, `warm` the second; `accept` is the step from token to token.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from llamapy import grammar, tokenizers

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "mail": {"type": "string", "pattern": "^[a-z.]+@[a-z.]+$"},
        "height": {"type": "number"},
        "tags": {"type": "array", "items": {"enum": ["new", "old", "borrowed", "blue"]}},
        "address": {
            "type": "object",
            "properties": {
                "street": {"type": "string", "maxLength": 40},
                "city": {"type": "string"},
                "zip": {"type": "string", "pattern": "^[0-9]{5}$"},
            },
            "required": ["street", "city"],
            "additionalProperties": False,
        },
        "friends": {"type": "array", "items": {"$ref": "#"}},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
ANY = {"type": ["object", "array"]}
NAMES = ["Ada", "Grace Hopper", "Jürgen Müller", "山田 太郎", 'Zoë "Zed" O\'Neill', "Ольга"]


def person(i: int, friends: int) -> dict[str, Any]:
    """A person with friends, the required properties first."""
    return {
        "name": NAMES[i % len(NAMES)],
        "age": 17 * i % 100,
        "mail": f"{'abcdef'[i % 6]}.smith@example.com",
        "height": 1.5 + i / 16,
        "tags": ["new", "blue", "borrowed"][: i % 4],
        "address": {"street": f"{i} Long Winding Road", "city": "Springfield", "zip": "12345"},
        "friends": [person(i + k + 1, friends - 1) for k in range(friends)],
    }


def texts() -> Iterator[str]:
    for i in range(8):
        yield json.dumps(person(i, i % 3), ensure_ascii=False, separators=(",", ":"))


def ours(schema: Any, tokenizer: Any) -> Callable[[], tuple[Callable, Callable]]:
    rules = grammar.from_schema(schema)

    def begin() -> tuple[Callable, Callable]:
        matcher = rules.matcher(tokenizer)
        return matcher.mask, matcher.accept

    return begin


class Pieces:
    """A tokenizer as llguidance wants it."""

    def __init__(self, tokenizer: Any) -> None:
        n = len(tokenizer)
        self.tokens = [tokenizer.piece(id) or b"\xff" + str(id).encode() for id in range(n)]
        self.eos_token_id = tokenizer.eos
        self.bos_token_id = tokenizer.bos
        self.special_token_ids = [id for id in range(n) if not tokenizer.piece(id)]
        self._encode = tokenizer.encode

    def __call__(self, text: str | bytes) -> list[int]:
        return self._encode(text, bos=False)


def theirs(schema: Any, tokenizer: Any) -> Callable[[], tuple[Callable, Callable]]:
    import llguidance

    vocabulary = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Pieces(tokenizer)))
    rules = llguidance.LLMatcher.grammar_from_json_schema(
        schema, overrides={"whitespace_flexible": True}
    )

    def begin() -> tuple[Callable, Callable]:
        matcher = llguidance.LLMatcher(vocabulary, rules)
        if matcher.is_error():
            raise RuntimeError(matcher.get_error())
        return matcher.compute_bitmask, matcher.consume_token

    return begin


def timed(begin: Callable, documents: list[list[int]]) -> dict[str, float]:
    """Milliseconds of masks and steps, over all tokens of the documents."""
    masks, steps = [], []
    for ids in documents:
        mask, accept = begin()
        for id in ids:
            start = time.perf_counter()
            mask()
            middle = time.perf_counter()
            accept(id)
            masks.append(1e3 * (middle - start))
            steps.append(1e3 * (time.perf_counter() - middle))
    return {
        "median": statistics.median(masks),
        "p99": float(np.percentile(masks, 99)),
        "worst": max(masks),
        "accept": statistics.median(steps),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("vocabulary", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tokenizer = tokenizers.from_gguf(options.vocabulary)
    documents = [tokenizer.encode(text, bos=False) for text in texts()]
    print(f"{len(tokenizer)} tokens, texts of {sum(map(len, documents))} tokens")
    grammar.from_gbnf('root ::= "a"').matcher(tokenizer).mask()  # compiled, and the trie made
    results: dict[str, Any] = {}
    for name, schema in {"person": PERSON, "any JSON": ANY}.items():
        for side, make in {"llamapy": ours, "llguidance": theirs}.items():
            start = time.perf_counter()
            begin = make(schema, tokenizer)
            begin()
            ready = 1e3 * (time.perf_counter() - start)
            for turn in ("first", "warm"):
                found = timed(begin, documents)
                results[f"{name}, {side}, {turn}"] = {"ready": ready, **found}
                shown = ", ".join(f"{key} {value:.3f}" for key, value in found.items())
                print(f"{name:9s} {side:11s} {turn:6s} ready {ready:7.1f} ms: {shown}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
