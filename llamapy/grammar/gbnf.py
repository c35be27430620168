"""GBNF, llama.cpp's notation for grammars: text to rules.

`name ::= "text" [a-z] [^0-9] . other-name (group | group) item* item+ item? item{2,5}`, token
terminals `<[5]>`, `<name>`, `!<[5]>`, and comments from `#` to the end of the line.
"""

from __future__ import annotations

from typing import NoReturn

from ..errors import GrammarError
from .characters import WIDE_TOP, Ranges, complement, ranges_of
from .expressions import Alt, Chars, Expression, Ref, Repeat, Seq, TokenIs

MAX_REPETITION = 2000
MAX_NESTING = 200
MAX_LENGTH = 1 << 20

NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
DIGITS = frozenset("0123456789")
HEX = {"x": 2, "u": 4, "U": 8}
ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-"}
REPEATS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def parse_gbnf(text: str) -> dict[str, Expression]:
    """The rules of a grammar by name; of two with one name the later one counts."""
    if len(text) > MAX_LENGTH:
        raise GrammarError(
            f"the grammar has {len(text)} characters, and {MAX_LENGTH} are the most: split it up"
        )
    return _Parser(text).rules()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.nesting = 0
        # llama.cpp's count of rules, by which it bounds repetition: names, groups, repetitions
        self.symbols: set[str] = set()
        self.n_made = 0
        self.used: dict[str, int] = {}  # where each name is used first

    def rules(self) -> dict[str, Expression]:
        found: dict[str, Expression] = {}
        self.space(newlines=True)
        while self.at < len(self.text):
            name = self.name()
            self.symbols.add(name)
            self.space()
            if not self.text.startswith("::=", self.at):
                self.fail(f"expected ::= behind the rule's name {name!r}")
            self.at += 3
            self.space(newlines=True)
            found[name] = self.alternatives(nested=False)
            if self.at < len(self.text) and self.text[self.at] not in "\r\n":
                self.fail(f"expected an item or a new line, not {self.text[self.at]!r}")
            self.space(newlines=True)
        for name, at in self.used.items():
            if name not in found:
                self.fail(f"there is no rule {name!r}: define it", at)
        return found

    # ---- structure

    def alternatives(self, nested: bool) -> Expression:
        found = [self.sequence(nested)]
        while self.peek() == "|":
            self.at += 1
            self.space(newlines=True)
            found.append(self.sequence(nested))
        return found[0] if len(found) == 1 else Alt(tuple(found))

    def sequence(self, nested: bool) -> Expression:
        items: list[Expression] = []
        weight = 1  # how many rules the last item is made of in llama.cpp
        can_repeat = False
        while True:
            c = self.peek()
            if c == "(":
                before = self.n_rules()
                item = self.group()
                weight, can_repeat = max(1, self.n_rules() - before), True
            elif c in REPEATS or c == "{":
                if not can_repeat:
                    self.fail(f"nothing stands before {c!r} that could be repeated")
                start = self.at
                least, most = self.counts(nested)
                weight = self.repeated(weight, least, most, start)
                items[-1] = Repeat(items[-1], least, most)
                continue
            else:
                found = self.item(c)
                if found is None:
                    return items[0] if len(items) == 1 else Seq(tuple(items))
                item, weight, can_repeat = found, 1, found != Seq(())
            items.append(item)
            self.space(newlines=nested)

    def n_rules(self) -> int:
        return len(self.symbols) + self.n_made

    def group(self) -> Expression:
        start = self.at
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            self.fail(f"groups are nested deeper than {MAX_NESTING}: name some of them as rules")
        self.at += 1
        self.space(newlines=True)
        self.n_made += 1
        item = self.alternatives(nested=True)
        if self.peek() != ")":
            self.fail("this group has no ')'" if not self.peek() else "expected ')'", start)
        self.at += 1
        self.nesting -= 1
        return item

    def item(self, c: str) -> Expression | None:
        if c == '"':
            return self.quoted()
        if c == "[":
            return self.character_class()
        if c == ".":
            self.at += 1
            return Chars(((0, WIDE_TOP),))
        if c and c in "<!":
            return self.token()
        if c and c in NAME:
            at = self.at
            name = self.name()
            self.used.setdefault(name, at)
            self.symbols.add(name)
            return Ref(name)
        return None

    def quoted(self) -> Expression:
        start = self.at
        self.at += 1
        codes = []
        while self.peek() != '"':
            if not self.peek():
                self.fail("this text has no closing quote", start)
            codes.append(self.character())
        self.at += 1
        return Seq(tuple(Chars(((code, code),)) for code in codes))

    def character_class(self) -> Expression:
        start = self.at
        self.at += 1
        negated = self.peek() == "^"
        self.at += negated
        parts = []
        while self.peek() != "]":
            if not self.peek():
                self.fail("this class of characters has no ']'", start)
            low = high = self.character()
            if self.peek() == "-" and self.text[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                if not self.peek():
                    self.fail("this class of characters has no ']'", start)
                high = self.character()
            parts.append((low, min(high, WIDE_TOP)))
        self.at += 1
        if not parts:
            self.fail("an empty class of characters matches nothing: remove it", start)
        ranges: Ranges = ranges_of(parts)
        return Chars(complement(ranges, WIDE_TOP), ranges) if negated else Chars(ranges)

    def token(self) -> Expression:
        start = self.at
        negated = self.peek() == "!"
        self.at += negated
        if self.peek() != "<":
            self.fail("expected a token such as <[5]> or <name> behind '!'")
        end = self.text.find(">", self.at)
        if end < 0:
            self.fail("this token has no '>'", start)
        text = self.text[self.at : end + 1]
        self.at = end + 1
        if not text.startswith("<["):
            return TokenIs(text, negated)
        digits = text[2:-2]
        if not (text.endswith("]>") and digits and DIGITS.issuperset(digits)):
            self.fail(f"{text} is no token: expected digits, as in <[5]>", start)
        if len(digits) > 10 or int(digits) > 0xFFFFFFFF:
            self.fail(f"{digits} is too large for the id of a token", start)
        return TokenIs(int(digits), negated)

    # ---- repetition

    def counts(self, nested: bool) -> tuple[int, int | None]:
        c = self.peek()
        start = self.at
        self.at += 1
        self.space(newlines=nested)
        if c != "{":
            return REPEATS[c]
        least = self.number(nested)
        most: int | None = least
        if self.peek() == ",":
            self.at += 1
            self.space(newlines=nested)
            most = self.number(nested) if self.peek() in DIGITS and self.peek() else None
        if self.peek() != "}":
            self.fail("expected '}' here", start=self.at)
        self.at += 1
        self.space(newlines=nested)
        if least > MAX_REPETITION:
            self.fail(f"{least} repetitions are more than {MAX_REPETITION}: ask for fewer", start)
        if most is not None and most < least:
            self.fail(f"at most {most} repetitions are fewer than at least {least}", start)
        # llama.cpp takes more than it can count for any number
        return least, None if most is not None and most > MAX_REPETITION else most

    def number(self, nested: bool) -> int:
        start = self.at
        while self.peek() and self.peek() in DIGITS:
            self.at += 1
        if self.at == start:
            self.fail("expected a number of repetitions")
        if self.at - start > 19:
            self.fail("this number is too large", start)
        value = int(self.text[start : self.at])
        self.space(newlines=nested)
        return value

    def repeated(self, weight: int, least: int, most: int | None, start: int) -> int:
        """What a repetition weighs; too much is refused, as llama.cpp does."""
        times = most or least or 1
        if weight * times > MAX_REPETITION:
            self.fail(
                f"{weight} rules repeated {times} times are more than {MAX_REPETITION}: repeat "
                f"less, or make the group simpler",
                start,
            )
        self.n_made += 1 if most is None else most - least
        return weight * times

    # ---- characters

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def name(self) -> str:
        start = self.at
        while self.peek() and self.peek() in NAME:
            self.at += 1
        if self.at == start:
            self.fail("expected the name of a rule, of letters, digits and '-'")
        return self.text[start : self.at]

    def space(self, newlines: bool = False) -> None:
        text, at = self.text, self.at
        skipped = " \t\r\n" if newlines else " \t"
        while at < len(text):
            if text[at] == "#":
                while at < len(text) and text[at] not in "\r\n":
                    at += 1
            elif text[at] in skipped:
                at += 1
            else:
                break
        self.at = at

    def character(self) -> int:
        c = self.peek()
        if c != "\\":
            self.at += 1
            return ord(c)
        kind = self.text[self.at + 1 : self.at + 2]
        if kind in ESCAPES:
            self.at += 2
            return ord(ESCAPES[kind])
        if kind in HEX:
            digits = self.text[self.at + 2 : self.at + 2 + HEX[kind]]
            if len(digits) == HEX[kind] and all(d in "0123456789abcdefABCDEF" for d in digits):
                self.at += 2 + HEX[kind]
                return int(digits, 16)
            self.fail(f"\\{kind} needs {HEX[kind]} hexadecimal digits")
        return self.fail(
            f'\\{kind} is no escape: there are \\t \\r \\n \\\\ \\" \\[ \\] \\- \\x \\u \\U'
        )

    def fail(self, message: str, start: int | None = None) -> NoReturn:
        at = self.at if start is None else start
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        raise GrammarError(f"line {line}, column {column} of the grammar: {message}")
