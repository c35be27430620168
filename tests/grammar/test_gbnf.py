"""GBNF: what is read, what is refused and where, and that hostile texts end soon."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from llamapy import GrammarError
from llamapy.grammar import from_gbnf

ARITHMETIC = """
root ::= sum  # a comment
sum  ::= product (("+" | "-") product)*
product ::= value ([*/] value)*
value ::= [0-9]+ | "(" sum ")"
"""


@pytest.mark.parametrize(
    ("text", "accepted", "refused"),
    [
        (ARITHMETIC, ["1", "1+2*3", "(1-(2))/30"], ["", "1+", "(1", "a"]),
        ('root ::= "a"{2,3} "b"?', ["aa", "aaa", "aab"], ["a", "aaaa", "aabb"]),
        ('root ::= ("ab" | "c"){2,}', ["abc", "cc", "ababab"], ["ab", "c"]),
        ('root ::= [^a-c"\\n] .', ["dx", "é\n", "🙂🙂"], ["ax", '"x', "\nx", "d"]),
        ('root ::= "\\x41\\u00e9\\U0001F642\\t\\\\\\""', ['Aé🙂\t\\"'], ["Aé🙂"]),
        ("root ::= [a\\-z] [x-] [\\]]", ["a-]", "-x]"], ["b-]"]),
        ('root ::= ("a"*)* ("b"?)+', ["", "aab", "bbb"], ["ba"]),
        ('root ::= "(" root ")" root |', ["", "()", "(())()"], [")(", "(()"]),
        ('root ::= x y\nx ::= "a"?\ny ::= "b"', ["b", "ab"], ["a"]),
        ('root ::= "a" # end\r\n\r\nother ::= root |\n "b"', ["a"], ["b"]),
        ('root ::= "a"\nroot ::= "b"', ["b"], ["a"]),
        ("root ::= ", [""], ["a"]),
    ],
)
def test_accepts(text: str, accepted: list[str], refused: list[str]) -> None:
    grammar = from_gbnf(text)
    assert [t for t in accepted if not grammar.accepts(t)] == []
    assert [t for t in refused if grammar.accepts(t)] == []


def test_texts_may_be_bytes_and_parts() -> None:
    grammar = from_gbnf('root ::= "é" .')
    assert grammar.accepts("é🙂".encode())
    assert grammar.accepts(["é", "🙂"])
    assert not grammar.accepts("é🙂".encode()[:-1])


def test_tokens_are_parts_of_a_text() -> None:
    grammar = from_gbnf('root ::= <[10]> (!<[11]>)* <[11]> "end"')
    assert grammar.accepts([10, "some text", 11, "end"])
    assert grammar.accepts([10, 12, 13, 11, "end"])
    assert not grammar.accepts([10, "some text", "end"])
    assert not grammar.accepts("end")


def test_another_root() -> None:
    assert from_gbnf('a ::= "x"\nb ::= a a', root="b").accepts("xx")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('root ::= "a', r"line 1, column 10 .*closing quote"),
        ('root ::= "a"\nb ::= ("x" | [y]', r"line 2, column 7 .*'\)'"),
        ("root ::= other", r"line 1, column 10 .*no rule 'other'"),
        ("root ::= [a-", r"line 1, column 10"),
        ("root ::= []", r"column 10 .*empty class"),
        ('root ::= "a"{3,2}', r"column 13 .*fewer than at least 3"),
        ('root ::= "a"{2001}', r"2001 repetitions"),
        ('root ::= "a"{,10}', r"number of repetitions"),
        ("root ::= *", r"nothing stands before '\*'"),
        ('root ::= ""*', r"nothing stands before"),
        ('root ::= "\\q"', r"\\q is no escape"),
        ('root ::= "\\u12g4"', r"4 hexadecimal digits"),
        ('root = "a"', r"expected ::="),
        ('root ::= "a" )', r"expected an item or a new line, not '\)'"),
        ("root ::= <[12>", r"no token"),
        ("root ::= <[99999999999]>", r"too large"),
        ("root ::= <name", r"no '>'"),
        ('root ::= root "a" | "b"', r"'root' begins with itself"),
        ('root ::= a\na ::= b? c\nb ::= "x"\nc ::= a "y" | "z"', r"a -> c -> a"),
        ('other ::= "a"', r"no rule 'root' to begin with"),
        ("", r"no rule 'root'"),
    ],
)
def test_refusals_say_where(text: str, message: str) -> None:
    with pytest.raises(GrammarError, match=message):
        from_gbnf(text)


BOMBS = {
    "parentheses": "root ::= " + "(" * 60_000 + '"a"' + ")" * 60_000,
    "open parentheses": "root ::= " + "(" * 60_000,
    "nested stars": 'root ::= (("a"*)*)*',
    "underflow": 'root ::= "a"{5,0}',
    "huge repetition": 'root ::= "a"{0,100000}',
    "products": "root ::= (((((([^x]*){0,99}){0,99}){0,99}){0,99}){0,99}){0,99}",
    "wide": "root ::= " + " ".join("[^x]{2000}" for _ in range(40)),
    "chain": "\n".join(f"r{i} ::= r{i + 1}" for i in range(5000)) + '\nr5000 ::= "a"\nroot ::= r0',
    "doubling": "\n".join(f"r{i} ::= r{i + 1} r{i + 1}" for i in range(3000))
    + '\nr3000 ::= "a"?\nroot ::= r0',
    "ambiguous": 'root ::= "a" root "b" | "a" root "c" | ""',
    "long": 'root ::= "' + "a" * 2_000_000 + '"',
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_soon(name: str) -> None:
    if name != "wide":  # of which measuring takes seconds, and which a limit on nodes ends
        tracemalloc.start()
    start = time.process_time()
    try:
        grammar = from_gbnf(BOMBS[name])
        assert grammar.accepts("a" * 500) in (True, False)
    except GrammarError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]  # 0 if not measured
        tracemalloc.stop()
    # the measuring itself makes it several times slower
    assert time.process_time() - start < 10
    assert peak < 128 << 20


def test_long_texts_are_read_in_time_that_grows_with_them() -> None:
    grammar = from_gbnf('root ::= "(" root ")" | ""')
    assert grammar.accepts("(" * 20_000 + ")" * 20_000)
    assert not grammar.accepts("(" * 20_000 + ")" * 19_999)


def test_repr_tells_the_size() -> None:
    assert "2 rules" in repr(from_gbnf('root ::= a\na ::= "x"'))
