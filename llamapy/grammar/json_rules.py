"""JSON in a grammar: the rules for any value, and sets of strings as they are spelled in JSON.

Spacing is llama.cpp's: after brackets and commas and around what they hold a space, or one or two
line ends with an indentation, or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .automaton import Automaton
from .characters import (
    SURROGATES,
    TOP,
    Ranges,
    characters,
    difference,
    intersection,
    union,
)
from .expressions import Alt, Chars, Expression, Machine, Ref, Repeat, Seq, alt, optional, seq

DIGIT = Chars(characters("0123456789"))
NONZERO = Chars(characters("123456789"))
HEX = Chars(characters("0123456789abcdefABCDEF"))
SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}

# what stands for itself in a string
RAW = difference(((0x20, TOP),), union(characters('"\\\x7f'), SURROGATES))
PRINTABLE: Ranges = ((0x20, 0x7E),)

SPACE = Ref("space")
COMMA = seq(",", SPACE)
QUOTE = '"'


def times(item: Expression, least: int, most: int | None = None) -> Repeat:
    return Repeat(item, least, most)


def list_of(item: Expression, least: int = 0, most: int | None = None) -> Expression:
    """Items with commas between them."""
    if most == 0:
        return seq()
    rest = times(seq(COMMA, item), max(least - 1, 0), None if most is None else most - 1)
    found = seq(item, rest)
    return found if least else optional(found)


def object_of(members: Expression) -> Expression:
    return seq("{", SPACE, members, SPACE, "}")


def array_of(items: Expression) -> Expression:
    return seq("[", SPACE, items, SPACE, "]")


WHOLE = alt("0", seq(NONZERO, times(DIGIT, 0, 15)))

RULES: dict[str, Expression] = {
    "space": alt(
        "",
        " ",
        seq(times(Chars(characters("\n")), 1, 2), times(Chars(characters(" \t")), 0, 20)),
    ),
    "value": Alt(tuple(map(Ref, ("object", "array", "string", "number", "boolean", "null")))),
    "object": object_of(list_of(seq(Ref("string"), ":", SPACE, Ref("value")))),
    "array": array_of(list_of(Ref("value"))),
    "string": seq(QUOTE, times(Ref("char"), 0), QUOTE),
    "char": alt(
        Chars(RAW),
        seq("\\", alt(Chars(characters("".join(SHORT))), seq("u", times(HEX, 4, 4)))),
    ),
    "whole": WHOLE,
    "integer": seq(optional(seq("-")), Ref("whole")),
    "number": seq(
        Ref("integer"),
        optional(seq(".", times(DIGIT, 1, 16))),
        optional(seq(Chars(characters("eE")), optional(Chars(characters("+-"))), Ref("whole"))),
    ),
    "boolean": alt("true", "false"),
    "null": seq("null"),
}


def dumped(value: Any) -> str:
    """A value as it is written where only one spelling is allowed."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# ---- strings of a set


def spelled(strings: Automaton) -> Expression:
    """The strings of a set in quotes. A printable character of ASCII stands for itself; others may
    be escaped. Where any string may follow, it may be spelled in any way.
    """
    speller = _Speller(strings)
    return seq(QUOTE, speller.machine(), QUOTE)


class _Speller:
    def __init__(self, strings: Automaton) -> None:
        self.strings = strings
        self.arcs: list[list[tuple[Ranges, int]]] = [[] for _ in strings.arcs]

    def machine(self) -> Machine:
        for state, arcs in enumerate(self.strings.arcs):
            if self.strings.is_free(state):
                # half of a pair may stand alone where nothing is counted or compared
                self.add(state, ((0, TOP),), state, printable=PRINTABLE)
                continue
            for ranges, target in arcs:
                self.add(state, ranges, target)
        return Machine(tuple(map(tuple, self.arcs)), self.strings.finals)

    def state(self) -> int:
        self.arcs.append([])
        return len(self.arcs) - 1

    def add(self, state: int, ranges: Ranges, target: int, printable: Ranges = ()) -> None:
        """Arcs for the spellings of characters; of printable ones only those given are escaped."""
        self.arcs[state].append((intersection(ranges, RAW), target))
        escape = self.state()
        self.arcs[state].append((characters("\\"), escape))
        short = "".join(
            letter for letter, c in SHORT.items() if intersection(ranges, characters(c))
        )
        if short:
            self.arcs[escape].append((characters(short), target))
        unicode = self.state()
        self.arcs[escape].append((characters("u"), unicode))
        coded = union(difference(ranges, PRINTABLE), intersection(ranges, printable))
        self.add_hex(unicode, intersection(coded, ((0, 0xFFFF),)), target)
        for low, high in intersection(coded, ((0x10000, TOP),)):
            self.add_pairs(unicode, low - 0x10000, high - 0x10000, target)

    def add_hex(self, state: int, ranges: Ranges, target: int) -> None:
        for low, high in ranges:
            for digits in hex_ranges(low, high, 4):
                at = state
                for first, last in digits[:-1]:
                    following = self.state()
                    self.arcs[at].append((hex_digits(first, last), following))
                    at = following
                self.arcs[at].append((hex_digits(*digits[-1]), target))

    def add_pairs(self, state: int, low: int, high: int, target: int) -> None:
        """Characters of two escapes, each with ten bits of the number."""
        first, last = low >> 10, high >> 10
        parts = [(first, low & 0x3FF, 0x3FF), (last, 0, high & 0x3FF)]
        if first == last:
            parts = [(first, low & 0x3FF, high & 0x3FF)]
        self.add_pair(state, (parts[0][0],) * 2, parts[0][1:], target)
        if first + 1 < last:
            self.add_pair(state, (first + 1, last - 1), (0, 0x3FF), target)
        if first != last:
            self.add_pair(state, (last, last), parts[1][1:], target)

    def add_pair(
        self, state: int, firsts: tuple[int, int], seconds: tuple[int, int], target: int
    ) -> None:
        between, escape, unicode = self.state(), self.state(), self.state()
        self.add_hex(state, ((0xD800 + firsts[0], 0xD800 + firsts[1]),), between)
        self.arcs[between].append((characters("\\"), escape))
        self.arcs[escape].append((characters("u"), unicode))
        self.add_hex(unicode, ((0xDC00 + seconds[0], 0xDC00 + seconds[1]),), target)


def hex_digits(first: int, last: int) -> Ranges:
    digits = "0123456789abcdef"[first : last + 1]
    return characters(digits + digits.upper())


def hex_ranges(low: int, high: int, n: int) -> Iterator[Ranges]:
    """Sequences of ranges of hexadecimal digits that together spell just these numbers."""
    if n == 1:
        yield ((low, high),)
        return
    shift = 4 * (n - 1)
    rest = (1 << shift) - 1
    first, last = low >> shift, high >> shift
    if first == last:
        for tail in hex_ranges(low & rest, high & rest, n - 1):
            yield ((first, first), *tail)
        return
    if low & rest:
        yield from hex_ranges(low, low | rest, n)
        first += 1
    whole_end = last if high & rest == rest else last - 1
    if first <= whole_end:
        yield ((first, whole_end), *(((0, 15),) * (n - 1)))
    if whole_end < last:
        yield from hex_ranges(last << shift, high, n)


def sequence_of(items: list[Expression]) -> Expression:
    """Items one after the other, with commas between them."""
    found: list[Expression] = []
    for item in items:
        found += [COMMA, item] if found else [item]
    return Seq(tuple(found))
