"""Masks: a token is allowed just if its bytes lead on, whatever grammar and vocabulary."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamapy import GrammarError
from llamapy.grammar import Grammar, from_gbnf, from_schema
from llamapy.testing.grammar import PieceTokenizer, random_text

JSON = from_schema({"type": ["object", "array", "string", "number", "boolean", "null"]})
GRAMMARS = {
    "json": JSON,
    "nested": from_gbnf('root ::= "(" root ")" root | [a-c]*'),
    "ambiguous": from_gbnf('root ::= a a b?\na ::= "a"* | "ab" "a"?\nb ::= "b" root "c"'),
    "characters": from_gbnf('root ::= [^a"] (. | "é"){2,4} "🙂"*'),
    "empty rules": from_gbnf('root ::= x y z\nx ::= y? y?\ny ::= "b" x | ""\nz ::= "c" y "d" | ""'),
    "schema": from_schema(
        {
            "type": "object",
            "properties": {"ab": {"type": "string", "maxLength": 3}, "a": {"enum": [1, 12, "b"]}},
            "additionalProperties": {"type": "integer", "maximum": 20},
        }
    ),
}


def vocabulary(seed: int) -> PieceTokenizer:
    chance = random.Random(seed)
    letters = ["a", "b", "c", "(", ")", '"', "{", "}", "[", "]", ":", ",", "1", "2", "é", "🙂", " "]
    words = ["".join(chance.choices(letters, k=chance.randint(2, 5))) for _ in range(250)]
    words += [
        '":',
        '","',
        '"}',
        '"]}',
        "}}",
        "]]]",
        "true",
        "null",
        "</s>",
        "🙂".encode()[:2].hex(),
    ]
    return PieceTokenizer.of_bytes(words)


def plain_mask(grammar: Grammar, state: object, tokenizer: PieceTokenizer) -> np.ndarray:
    """What the definition says: read every token."""
    pushdown = grammar.pushdown
    return np.array([bool(pushdown.stoppable(pushdown.read(state, p))) for p in tokenizer.pieces])


@pytest.mark.parametrize("name", GRAMMARS)
def test_masks_are_what_reading_each_token_gives(name: str) -> None:
    grammar = GRAMMARS[name]
    for seed in range(3):
        tokenizer = vocabulary(seed)
        matcher = grammar.matcher(tokenizer)
        end = len(tokenizer) - 1
        chance = random.Random(seed)
        for _ in range(40):
            mask = matcher.mask()
            wanted = plain_mask(grammar, matcher._state, tokenizer)
            wanted[end] = matcher.is_complete
            assert np.array_equal(mask, wanted)
            ids = np.flatnonzero(mask[:end])
            if not len(ids):
                assert matcher.is_complete
                break
            matcher.accept(int(chance.choice(ids.tolist())))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.data())
def test_whatever_masks_allow_ends_in_a_text_of_the_grammar(seed: int, data: st.DataObject) -> None:
    grammar = GRAMMARS[data.draw(st.sampled_from(sorted(GRAMMARS)))]
    text = random_text(grammar, seed, longest=60)
    if text is None or "\0" in text:  # which no token has
        return
    tokenizer = vocabulary(1)
    matcher = grammar.matcher(tokenizer)
    for id in tokenizer.encode(text):
        assert matcher.mask()[id]
        matcher.accept(id)
    assert matcher.is_complete
    assert matcher.mask()[len(tokenizer) - 1]
    assert grammar.accepts(text)


def test_a_token_may_not_end_in_doubt() -> None:
    """As in llama.cpp: half a character is refused that may become one that a class excludes."""
    tokenizer = PieceTokenizer.of_bytes()
    mask = from_gbnf("root ::= [^\u2028]").matcher(tokenizer).mask()
    assert not mask[0xE2 - 1]
    assert mask[0xE3 - 1]
    assert from_gbnf("root ::= [\u2027]").matcher(tokenizer).mask()[0xE2 - 1]


def test_accepting_copying_resetting() -> None:
    tokenizer = PieceTokenizer.of_bytes(["ab"])
    matcher = from_gbnf('root ::= "ab" "c"+').matcher(tokenizer)
    a, b, c, ab, end = 96, 97, 98, 255, 256
    assert np.flatnonzero(matcher.mask()).tolist() == [a, ab]
    matcher.accept(ab)
    twin = matcher.copy()
    matcher.accept(c)
    assert matcher.is_complete
    assert not twin.is_complete
    assert np.flatnonzero(matcher.mask()).tolist() == [c, end]
    matcher.accept(end)
    with pytest.raises(GrammarError, match=r"token 97 \(b'b'\)"):
        matcher.accept(b)
    with pytest.raises(GrammarError):
        twin.accept(end)
    twin.accept(c)
    matcher.reset()
    assert np.flatnonzero(matcher.mask()).tolist() == [a, ab]
    assert "incomplete" in repr(matcher)


def test_tokens_that_the_grammar_names() -> None:
    tokenizer = PieceTokenizer.of_bytes(["<think>", "</think>"])
    think, close, end = 255, 256, 257
    for text in (
        'root ::= <think> !</think>* </think> "a"',
        'root ::= <[255]> !<[256]>* <[256]> "a"',
    ):
        matcher = from_gbnf(text).matcher(tokenizer)
        assert np.flatnonzero(matcher.mask()).tolist() == [think]
        matcher.accept(think)
        mask = matcher.mask()
        assert mask[:end].all()
        assert not mask[end]
        matcher.accept(5)
        matcher.accept(close)
        assert np.flatnonzero(matcher.mask()).tolist() == [96]
    with pytest.raises(GrammarError, match="<other> is 7 tokens"):
        from_gbnf("root ::= <other>").matcher(tokenizer)


def test_what_allows_nothing_has_no_matcher() -> None:
    tokenizer = PieceTokenizer.of_bytes()
    impossible = from_schema({"type": "string", "const": 5})
    assert not impossible.accepts("5")
    with pytest.raises(GrammarError, match="no text at all"):
        impossible.matcher(tokenizer)
    # a branch that leads nowhere is never entered
    grammar = from_schema({"type": "object", "properties": {"a": False, "b": {"type": "null"}}})
    matcher = grammar.matcher(tokenizer)
    for byte in b'{"':
        matcher.accept(byte - 1)
    assert np.flatnonzero(matcher.mask()).tolist() == [ord("b") - 1]


def test_deep_texts_do_not_slow_the_masks_down() -> None:
    tokenizer = vocabulary(0)
    matcher = JSON.matcher(tokenizer)
    for _ in range(3000):
        matcher.accept(ord("[") - 1)
        matcher.mask()
    masks = next(iter(JSON._masks.values()))
    assert len(masks._found) < 500
