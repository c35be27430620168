"""Regular expressions: the same texts as Python's `re`, or a refusal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamapy import GrammarError
from llamapy.grammar import from_regex
from llamapy.grammar.automaton import automaton
from llamapy.grammar.regex import anywhere, full

ATOMS = st.sampled_from(["a", "b", "ab", ".", "[ab]", "[^a]", "\\d", "\\w", "\\.", "é", "[a-c1]"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{,2}", "*?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)
TEXTS = st.lists(st.text("ab1.éc\n", max_size=7), min_size=5, max_size=20)


@settings(max_examples=120, deadline=None)
@given(PATTERNS, TEXTS)
def test_matches_what_re_matches(pattern: str, texts: list[str]) -> None:
    grammar, whole, found = (
        from_regex(pattern),
        automaton(full(pattern)),
        automaton(anywhere(pattern)),
    )
    for text in texts:
        wanted = re.fullmatch(pattern, text, re.ASCII) is not None
        assert grammar.accepts(text) == wanted
        assert (text in whole) == wanted
        assert (text in found) == (re.search(pattern, text, re.ASCII) is not None)


@settings(max_examples=60, deadline=None)
@given(PATTERNS, PATTERNS, TEXTS)
def test_automata_are_sets(first: str, second: str, texts: list[str]) -> None:
    a, b = automaton(full(first)), automaton(full(second))
    for text in texts:
        assert (text in a & b) == (text in a and text in b)
        assert (text in a - b) == (text in a and text not in b)
    assert (a - a).is_empty


@pytest.mark.parametrize(
    ("pattern", "accepted", "refused"),
    [
        ("^a|b$", ["a", "b"], ["ab", "ax"]),
        (r"\x41\u0042\u{43}\t\/\-", ["ABC\t/-"], ["A"]),
        (r"[\]\-a]+", ["]-a"], ["b"]),
        (r"(?P<year>\d{4})-(?<month>\d\d)", ["2024-05"], ["2024-5"]),
        ("", [""], ["a"]),
        ("a{0}", [""], ["a"]),
    ],
)
def test_notation(pattern: str, accepted: list[str], refused: list[str]) -> None:
    grammar = from_regex(pattern)
    assert [t for t in accepted if not grammar.accepts(t)] == []
    assert [t for t in refused if grammar.accepts(t)] == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?=a)", "character 1: look-around"),
        ("(?i)a", "character 1: look-around, flags"),
        (r"(a)\1", r"escape \\1 is not supported"),
        (r"a\b", r"escape \\b"),
        (r"\p{L}", r"escape \\p"),
        ("a++", "character 3: this repeats a repetition"),
        ("a**", "this repeats a repetition"),
        ("*a", "character 1: nothing stands before"),
        ("(a", r"character 1: this group has no '\)'"),
        ("a)", "closes no group"),
        ("[a", r"no '\]'"),
        ("[z-a]", "no order"),
        ("a{3,2}", "fewer than"),
        ("a{9999}", "more than 2000"),
        ("a{x}", "number of repetitions"),
        ("a^b", "inside of a pattern"),
        ("(" * 200 + ")" * 200, "nested deeper"),
        ("[[:alpha:]]", "operations within classes"),
        (r"\uD800", "no character"),
    ],
)
def test_refusals_say_where(pattern: str, message: str) -> None:
    with pytest.raises(GrammarError, match=message):
        from_regex(pattern)
