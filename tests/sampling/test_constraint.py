"""The stage that leaves what a grammar allows, at once or behind a trigger."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import GrammarError, Sampler
from llamapy.grammar import from_gbnf, from_schema
from llamapy.sampling import Candidates, Draw, Grammar, Greedy, TopK
from llamapy.testing import check_sampler
from llamapy.testing.grammar import PieceTokenizer

TOKENIZER = PieceTokenizer.of_bytes(["<tool>", "left", "go "])
TOOL, LEFT, GO, END = 255, 256, 257, 258


def allowed(stage: Grammar) -> set[int]:
    candidates = Candidates(np.zeros(len(TOKENIZER), np.float32))
    stage.apply(candidates)
    return set(np.flatnonzero(candidates.logits != -np.inf).tolist())


def ids(text: str) -> list[int]:
    return [byte - 1 for byte in text.encode()]


def test_a_text_of_the_grammar_comes_out() -> None:
    grammar = from_schema({"enum": ["left", "right"]})
    rng = np.random.default_rng(1)
    for seed in range(10):
        sampler = Sampler([Grammar(grammar, TOKENIZER), Draw(seed=seed)])
        text = b""
        while (token := sampler(rng.normal(0, 3, len(TOKENIZER)))) != END:
            text += TOKENIZER.piece(token)
        assert grammar.accepts(text)


def test_a_stage_like_any_other() -> None:
    check_sampler(Grammar("root ::= [a-z]+", TOKENIZER), n_vocab=len(TOKENIZER))
    check_sampler(Grammar("root ::= [a-z]+", TOKENIZER, words=("a",)), n_vocab=len(TOKENIZER))
    assert "words=('a',)" in repr(Grammar(from_gbnf('root ::= "a"'), TOKENIZER, words=("a",)))


def test_copies_part() -> None:
    stage = Grammar('root ::= "ab"', TOKENIZER)
    twin = stage.copy()
    stage.accept(ids("a")[0])
    assert allowed(stage) == set(ids("b"))
    assert allowed(twin) == set(ids("a"))
    stage.reset()
    assert allowed(stage) == set(ids("a"))


def test_only_tokens_that_are_left_are_looked_at() -> None:
    logits = np.arange(len(TOKENIZER), dtype=np.float32)
    assert Sampler([TopK(4), Grammar('root ::= "left"', TOKENIZER), Greedy()])(logits) == LEFT
    with pytest.raises(GrammarError, match="none of the tokens that are left"):
        Sampler([TopK(1), Grammar('root ::= "left"', TOKENIZER), Greedy()])(logits)


def test_a_word_begins_the_grammar() -> None:
    stage = Grammar('root ::= "go " ("left" | "right")', TOKENIZER, words=("stop", "go "))
    for token in ids("then "):
        assert len(allowed(stage)) == len(TOKENIZER)
        assert stage.is_complete
        stage.accept(token)
    twin = stage.copy()
    stage.accept(GO)
    assert allowed(stage) == {*ids("lr"), LEFT}
    for token in ids("go "):
        twin.accept(token)
    assert allowed(twin) == {*ids("lr"), LEFT}
    assert not twin.is_complete


def test_a_token_begins_the_grammar() -> None:
    stage = Grammar('root ::= "<tool>" [ab]', TOKENIZER, tokens=(TOOL,))
    stage.accept(LEFT)
    stage.accept(TOOL)
    assert allowed(stage) == set(ids("ab"))


@pytest.mark.parametrize(
    ("pattern", "text", "following"),
    [
        (r"[\s\S]*?(<[ab]>)[\s\S]*", "x <b>", "x"),
        (r"(?:no|<a>)", "<a>", "x"),
        (r"^y(<a>)$", "y<a>", "x"),
    ],
)
def test_a_pattern_begins_the_grammar(pattern: str, text: str, following: str) -> None:
    stage = Grammar('root ::= "<" [ab] ">x"', TOKENIZER, patterns=(pattern,))
    for token in ids(text):
        assert len(allowed(stage)) == len(TOKENIZER)
        stage.accept(token)
    assert allowed(stage) == set(ids(following))


def test_what_follows_a_trigger_must_fit() -> None:
    stage = Grammar('root ::= "other"', TOKENIZER, words=("left",))
    with pytest.raises(GrammarError, match="does not allow token"):
        stage.accept(LEFT)


def test_bad_triggers_are_refused() -> None:
    with pytest.raises(GrammarError, match="no regular expression"):
        Grammar('root ::= "a"', TOKENIZER, patterns=("(",))
    stage = Grammar('root ::= "a"', TOKENIZER, patterns=("(a+)+$",))
    stage._triggers[0]._searches = [slow]
    with pytest.raises(GrammarError, match="takes longer"):
        stage.accept(ids("a")[0])


def slow(text: bytes, timeout: float) -> None:
    raise TimeoutError
