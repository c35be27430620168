"""Regular expressions as grammars: the part of them that describes a regular set of texts.

Characters, `.`, classes, escapes such as `\\d \\w \\s \\n \\x41`, groups, `|`, and repetition.
Look-around, back references, word boundaries, flags and possessive repetition are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from ..errors import GrammarError
from .characters import (
    SURROGATES,
    TOP,
    Ranges,
    characters,
    complement,
    difference,
    ranges_of,
    union,
)
from .expressions import EMPTY, Alt, Chars, Expression, Repeat, Seq

ANY = difference(((0, TOP),), SURROGATES)
LINE_ENDS = characters("\n\r\u2028\u2029")
DIGITS: Ranges = ((0x30, 0x39),)
WORDS = ranges_of([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
SPACES = union(
    ((9, 13), (0x2000, 0x200A)),
    characters(" \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"),
)
CLASSES = {"d": DIGITS, "w": WORDS, "s": SPACES}
CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0, "a": 7}
HEX = {"x": 2, "u": 4, "U": 8}
SPECIAL = frozenset("\\^$.|?*+()[]{}")

MAX_REPETITION = 2000
MAX_NESTING = 100
MAX_LENGTH = 1 << 16


@dataclass(frozen=True, slots=True)
class Branch:
    """One of the alternatives of a pattern, and whether it stands at the text's begin and end."""

    body: Expression
    begins: bool
    ends: bool


def full(pattern: str) -> Expression:
    """The whole text matches the pattern."""
    return Alt(tuple(branch.body for branch in _Parser(pattern).pattern()))


def anywhere(pattern: str) -> Expression:
    """The pattern is found in the text, as JSON Schema has it.

    `^a|b$` is `^(a|b)$`, as llama.cpp takes it.
    """
    branches = _Parser(pattern).pattern()
    enclosed = branches[0].begins and branches[-1].ends
    rest = Repeat(Chars(ANY), 0, None)
    found = []
    for branch in branches:
        before = EMPTY if enclosed or branch.begins else rest
        after = EMPTY if enclosed or branch.ends else rest
        found.append(Seq((before, branch.body, after)))
    return Alt(tuple(found))


class _Parser:
    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_LENGTH:
            raise GrammarError(
                f"the pattern has {len(pattern)} characters, and {MAX_LENGTH} are the most"
            )
        self.text, self.at, self.nesting = pattern, 0, 0

    def pattern(self) -> list[Branch]:
        branches = [self.branch()]
        while self.peek() == "|":
            self.at += 1
            branches.append(self.branch())
        if self.at < len(self.text):
            self.fail("this ')' closes no group; write \\) for the character")
        return branches

    def branch(self) -> Branch:
        begins = self.skip("^") or self.skip("\\A")
        body = self.sequence()
        ends = self.skip("$") or self.skip("\\Z") or self.skip("\\z")
        if ends and self.peek() not in ("", "|"):
            self.fail("an end of the text inside of a pattern matches nothing")
        return Branch(body, begins, ends)

    def group(self) -> Expression:
        start = self.at
        self.at += 1
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            self.fail(f"groups are nested deeper than {MAX_NESTING}")
        if self.peek() == "?":
            self.group_kind(start)
        items = [self.sequence()]
        while self.peek() == "|":
            self.at += 1
            items.append(self.sequence())
        if self.peek() != ")":
            self.fail(
                "an anchor inside of a group is not supported"
                if self.peek()
                else "this group has no ')'",
                self.at if self.peek() else start,
            )
        self.at += 1
        self.nesting -= 1
        return items[0] if len(items) == 1 else Alt(tuple(items))

    def group_kind(self, start: int) -> None:
        if self.skip("?:"):
            return
        named = self.skip("?P<") or self.skip("?<")
        end = self.text.find(">", self.at)
        if named and end > 0 and self.text[self.at : end].isidentifier():
            self.at = end + 1
            return
        self.fail(
            "look-around, flags and other (?...) are not supported, only (?: and names", start
        )

    def sequence(self) -> Expression:
        items: list[Expression] = []
        while True:
            c = self.peek()
            if c in ("", "|", ")", "$") or self.text.startswith(("\\Z", "\\z"), self.at):
                break
            start = self.at
            items.append(self.repeated(self.item(c), start))
        return items[0] if len(items) == 1 else Seq(tuple(items))

    def item(self, c: str) -> Expression:
        if c == "(":
            return self.group()
        if c == "[":
            return Chars(self.character_class())
        if c == "\\":
            return Chars(self.escape())
        if c in "*+?":
            self.fail(f"nothing stands before {c!r} that could be repeated")
        if c == "^":
            self.fail("'^' inside of a pattern is not supported; write \\^ for the character")
        if c in "]{}":
            self.fail(f"write \\{c} for the character {c!r}")
        self.at += 1
        if c == ".":
            return Chars(difference(ANY, LINE_ENDS))
        return Chars(characters(c))

    # ---- repetition

    def repeated(self, item: Expression, start: int) -> Expression:
        c = self.peek()
        if c and c in "*+?":
            self.at += 1
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[c]
        elif c == "{":
            least, most = self.counts()
        else:
            return item
        if self.peek() == "?":  # a lazy repetition allows the same texts
            self.at += 1
        if self.peek() and self.peek() in "*+?{":
            self.fail("this repeats a repetition; put the inner one in a group")
        return Repeat(item, least, most)

    def counts(self) -> tuple[int, int | None]:
        start = self.at
        end = self.text.find("}", start)
        parts = self.text[start + 1 : end].split(",") if end > 0 else []
        good = all(part.isascii() and (part.isdigit() or not part) for part in parts)
        if len(parts) not in (1, 2) or not good or not any(parts):
            self.fail("expected a number of repetitions, as in {2}, {2,} or {2,5}", start)
        if max(map(len, parts)) > 6:
            self.fail(f"more than {MAX_REPETITION} repetitions are not supported", start)
        self.at = end + 1
        least = int(parts[0] or 0)
        most = least if len(parts) == 1 else int(parts[1]) if parts[1] else None
        if max(least, most or 0) > MAX_REPETITION:
            self.fail(f"more than {MAX_REPETITION} repetitions are not supported", start)
        if most is not None and most < least:
            self.fail(f"at most {most} repetitions are fewer than at least {least}", start)
        return least, most

    # ---- characters

    def character_class(self) -> Ranges:
        start = self.at
        self.at += 1
        negated = self.skip("^")
        found: list[Ranges] = []
        while self.peek() != "]":
            if not self.peek():
                self.fail("this class of characters has no ']'", start)
            if self.text.startswith(("[:", "&&", "--", "||"), self.at):
                self.fail("operations within classes of characters are not supported")
            low = self.class_item()
            follows = self.text[self.at + 1 : self.at + 2]
            if self.peek() == "-" and follows and follows != "]":
                self.at += 1
                high = self.class_item()
                if not (is_one(low) and is_one(high)) or low[0][0] > high[0][0]:
                    self.fail("this range of characters has no order", start)
                found.append(((low[0][0], high[0][0]),))
            else:
                found.append(low)
        self.at += 1
        if not found:
            self.fail("an empty class of characters matches nothing", start)
        ranges = union(*found)
        return difference(complement(ranges) if negated else ranges, SURROGATES)

    def class_item(self) -> Ranges:
        if self.peek() == "\\":
            return self.escape(in_class=True)
        self.at += 1
        return characters(self.text[self.at - 1])

    def escape(self, in_class: bool = False) -> Ranges:
        kind = self.text[self.at + 1 : self.at + 2]
        if kind in HEX:
            return self.code(kind)
        self.at += 2
        if kind.lower() in CLASSES and kind:
            ranges = CLASSES[kind.lower()]
            return ranges if kind.islower() else difference(complement(ranges), SURROGATES)
        if kind in CONTROLS and not self.peek().isdigit():
            return ((CONTROLS[kind],) * 2,)
        if kind == "b" and in_class:
            return ((8, 8),)
        if not kind or kind.isalnum() or kind == "_":
            self.at -= 2
            self.fail(f"the escape \\{kind} is not supported")
        return characters(kind)

    def code(self, kind: str) -> Ranges:
        start = self.at
        self.at += 2
        if kind == "u" and self.skip("{"):
            end = self.text.find("}", self.at)
            digits, self.at = self.text[self.at : end], end + 1
            good = end > 0 and 0 < len(digits) < 9
        else:
            digits = self.text[self.at : self.at + HEX[kind]]
            self.at += HEX[kind]
            good = len(digits) == HEX[kind]
        if not good or not all(d in "0123456789abcdefABCDEF" for d in digits):
            self.fail(f"\\{kind} needs hexadecimal digits", start)
        value = int(digits, 16)
        if value > TOP or 0xD800 <= value < 0xE000:
            self.fail(f"\\{kind}{digits} is no character", start)
        return ((value, value),)

    # ---- reading

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip(self, text: str) -> bool:
        if self.text.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def fail(self, message: str, start: int | None = None) -> NoReturn:
        at = self.at if start is None else start
        raise GrammarError(f"the pattern {self.text[:200]!r}, character {at + 1}: {message}")


def is_one(ranges: Ranges) -> bool:
    """Whether it is one character."""
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]
