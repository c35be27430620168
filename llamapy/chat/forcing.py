"""Grammars of calls: what a model may write that has to call a tool, in the form of its dialect.

A dialect says how a call is `written`, and how calls are `marked`; here is what they need for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ..grammar import Grammar
from ..grammar.automaton import Automaton, automaton
from ..grammar.characters import characters, difference
from ..grammar.expressions import (
    EMPTY,
    Alt,
    Chars,
    Expression,
    Repeat,
    alt,
    literal,
    optional,
    seq,
)
from ..grammar.facts import Facts, Strings, Subs, refuse
from ..grammar.json_rules import RAW, RULES, SPACE, dumped, spelled
from ..grammar.regex import ANY
from ..grammar.schema import Schema

if TYPE_CHECKING:
    from .dialect import Dialect, Tools

LINE = alt("", "\n")
DIGITS = Repeat(Chars(characters("0123456789")), 1, 4)
LETTERS = Chars(((ord("0"), ord("9")), (ord("A"), ord("Z")), (ord("a"), ord("z"))))


class Member(NamedTuple):
    """An argument, and the schemas that hold for it."""

    name: str
    is_required: bool
    subs: Subs


class Function:
    """A tool, and how its arguments may be written."""

    def __init__(self, tool: Mapping[str, Any], beside: Schema | None = None) -> None:
        self.name = tool_name(tool)
        parameters = tool.get("function", tool).get("parameters") or {"type": "object"}
        self.schema = Schema(parameters, beside=beside)
        self._root: Subs = ((parameters, "#"),)

    @property
    def arguments(self) -> Expression:
        """All arguments, as JSON."""
        return self.schema.value(self._root)

    def as_json(self, name: str, arguments: str) -> list[Expression]:
        """The members of an object with the name of the function and its arguments."""
        return [pair(name, literal(dumped(self.name))), pair(arguments, self.arguments)]

    def members(self) -> list[Member]:
        """All arguments, those first that have to be there."""
        variants = self.schema.variants(self._root)
        if len(variants) != 1 or "object" not in variants[0].likely_types:
            raise refuse("#", "arguments that are not JSON have to be one kind of object")
        return self.members_of(variants[0])

    def members_of(self, facts: Facts) -> list[Member]:
        """The members of an object, those first that have to be there."""
        objects, pointer = facts.objects, facts.pointer
        if objects.patterns or objects.most is not None or objects.least > len(objects.required):
            raise refuse(pointer, "arguments that are not JSON have names, and are not counted")
        properties = {name: objects.others or () for name in objects.required} | objects.properties
        found = [Member(n, n in objects.required, subs) for n, subs in properties.items()]
        return sorted(found, key=lambda member: not member.is_required)

    def values(self, subs: Subs) -> Iterator[tuple[str, Facts]]:
        """The JSON types that a value may have, and what holds for each."""
        for facts in self.schema.variants(subs):
            if facts.values is None:
                yield from ((name, facts) for name in sorted(facts.likely_types))
                continue
            for value in facts.values:
                if self.schema.allows(facts, value):
                    yield json_type(value), facts.only(values=(value,))

    def bare(self, kind: str, facts: Facts, *marks: str) -> Expression:
        """A value as it stands: JSON, but for strings, which have none of these marks in them."""
        if kind != "string":
            return self.schema.expression(facts.only(types=frozenset({kind})))
        if facts.values is not None:
            return alt(*map(str, facts.values))
        strings = without(*marks)
        if facts.strings != Strings():
            strings &= self.schema.set_of(facts.strings, facts.pointer)
        return strings.as_expression()

    def text(self, subs: Subs, *marks: str) -> Expression:
        """A value as it stands, of any type that it may have."""
        return alt(*(self.bare(kind, facts, *marks) for kind, facts in self.values(subs)))

    def line(self, subs: Subs, *marks: str) -> Expression:
        """The same, or on a line of its own."""
        found: list[Expression] = []
        for kind, facts in self.values(subs):
            value = self.bare(kind, facts, *marks)
            is_free = kind == "string" and facts.values is None and facts.strings == Strings()
            found += [value] if is_free else [value, seq("\n", value, "\n")]
        return Alt(tuple(found))


def call_grammar(dialect: type[Dialect], tools: Tools, name: str | None = None) -> Grammar:
    """Calls of these tools, or of the one of this name, as a dialect writes them."""
    functions: list[Function] = []
    for tool in tools:
        if name in (None, tool_name(tool)):
            functions.append(Function(tool, functions[-1].schema if functions else None))
    whole = dialect.marked(alt(*map(dialect.written, functions)))
    rules: dict[str, Expression] = {}
    for function in functions:
        rules |= function.schema.rules_from(EMPTY)
    return Grammar({**rules, **spelling(*dialect.unspoken), "root": whole})


def tool_name(tool: Mapping[str, Any]) -> str:
    return str(tool.get("function", tool).get("name"))


# ---- pieces of grammars


def several(item: Expression, between: Expression | str = LINE) -> Expression:
    """One or more."""
    return seq(item, Repeat(seq(between, item), 0, None))


def pair(name: str, value: Expression) -> Expression:
    """A member of a JSON object."""
    return seq(dumped(name), SPACE, ":", SPACE, value)


def where(member: Member, written: Expression) -> Expression:
    """An argument that may be left out, if it may."""
    return written if member.is_required else optional(written)


def sieve(items: list[tuple[bool, Expression]], comma: Expression) -> Expression:
    """Items with commas between them; those that have to be there stand first."""
    firsts: list[Expression] = []
    rest: Expression = EMPTY  # what may follow the item before
    for is_required, item in reversed(items):
        firsts.append(seq(item, rest))
        more = seq(comma, item)
        rest = seq(more if is_required else optional(more), rest)
    if items and items[0][0]:
        return firsts[-1]
    return optional(Alt(tuple(firsts))) if firsts else EMPTY


def an_id(least: int = 1, most: int = 9) -> Expression:
    """What tells a call from others: letters and digits."""
    return Repeat(LETTERS, least, most)


@cache
def without(*marks: str) -> Automaton:
    """All texts that have none of these in them."""
    anything = Repeat(Chars(ANY), 0, None)
    found = automaton(anything)
    for mark in marks:
        found -= automaton(seq(anything, mark, anything))
    return found


def spelling(*marks: str) -> dict[str, Expression]:
    """The rules of JSON's strings where they may not have these marks in them."""
    if not marks:
        return {}
    plain = difference(RAW, characters("".join(mark[0] for mark in marks)))
    char = RULES["char"]
    assert isinstance(char, Alt)
    return {"string": spelled(without(*marks)), "char": Alt((Chars(plain), *char.items[1:]))}


def json_type(value: Any) -> str:
    from .dialect import kind_of

    return kind_of(value)
