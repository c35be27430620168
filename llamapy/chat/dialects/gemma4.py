"""Gemma 4: JSON with bare keys, and quotes that are a token."""

import re
from typing import Any

from ...grammar.expressions import Alt, Expression, Ref, Repeat, seq
from ...grammar.facts import Facts, Subs, refuse
from ...grammar.json_rules import list_of
from ..answer import ToolCall
from ..dialect import Dialect
from ..forcing import LETTERS, Function, Member, several, sieve, without
from ..json_calls import checked_name
from ..reading import Malformed, Reading, from_json

CHANNEL = "<|channel>"
QUOTE = '<|"|>'
WORD = re.compile(r"[-+.\w]")
KEY = re.compile(r"[-.\w]+")


class Gemma4(Dialect):
    """<|tool_call>call:name{key:value}<tool_call|>, reasoning in a channel"""

    signs = ("<|tool_call>", "<tool_call|>")
    thinking = (f"{CHANNEL}thought", "<channel|>")
    calling = ("<|tool_call>",)
    layout = ("<|turn>model\n", "<turn|>", "<|tool_response>")

    @classmethod
    def written(cls, function: Function) -> Expression:
        arguments = Values(function).members(function.members())
        return seq("<|tool_call>call:", function.name, "{", arguments, "}<tool_call|>")

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        return several(call, "")

    def talk(self) -> Reading[None]:
        """Thoughts may come anywhere: their marks are tokens that text does not have."""
        calling = self.calling if self.may_call else ()
        marks = (*calling, *self.layout, CHANNEL, self.thinking[1])
        while mark := (yield from self.pass_on(self.content, marks)):
            if mark in calling:
                yield from self.call(mark)
            elif mark == CHANNEL and (yield from self.reader.skip("thought")):
                yield from self.think()
            else:
                self.content.aside()

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        reader = self.reader
        yield from reader.expect("call:")
        name, _ = yield from reader.until("{")
        arguments = yield from self.members(0)
        yield from reader.space()
        if not (yield from reader.is_end()):
            yield from reader.expect("<tool_call|>")
        return [ToolCall(checked_name(name), arguments)]

    def members(self, depth: int) -> Reading[dict[str, Any]]:
        """What stands in braces, to the closing one."""
        reader = self.reader
        found: dict[str, Any] = {}
        while True:
            yield from reader.space()
            if (yield from reader.skip("}")):
                return found
            key, end = yield from reader.until(":", "}", ",", QUOTE)
            if end == QUOTE and not key.strip():
                key, _ = yield from reader.until(QUOTE)
                yield from reader.expect(":")
            elif end != ":":
                raise Malformed
            found[key.strip()] = yield from self.value(depth + 1)
            yield from self.comma("}")

    def comma(self, end: str) -> Reading[None]:
        yield from self.reader.space()
        if not (yield from self.reader.skip(",")) and (yield from self.reader.peek(1)) != end:
            raise Malformed

    def value(self, depth: int) -> Reading[Any]:
        reader = self.reader
        if depth > 64:
            raise Malformed
        yield from reader.space()
        if (yield from reader.skip(QUOTE)):
            return (yield from reader.until(QUOTE))[0]
        if (yield from reader.skip("{")):
            return (yield from self.members(depth))
        if not (yield from reader.skip("[")):
            return (yield from self.word())
        items: list[Any] = []
        while True:
            yield from reader.space()
            if (yield from reader.skip("]")):
                return items
            items.append((yield from self.value(depth + 1)))
            yield from self.comma("]")

    def word(self) -> Reading[Any]:
        """A number, or true, false, null."""
        word = ""
        while WORD.match(character := (yield from self.reader.peek(1))):
            self.reader.at += 1
            word += character
        return from_json(word)


# ---- writing

COMMA = seq(",")
KEYS = Repeat(LETTERS, 1, 32)
ANYTHING = "anything"  # a rule
ARRAY = seq("[", list_of(Ref(ANYTHING)), "]")
OBJECT = seq("{", list_of(seq(KEYS, ":", Ref(ANYTHING))), "}")


class Values:
    """The values that a schema allows, as they are written here."""

    def __init__(self, function: Function) -> None:
        self.function, self.made = function, function.schema.made
        self._names: dict[tuple[str, ...], str] = {}
        words = [Ref(kind) for kind in ("number", "boolean", "null")]
        string = seq(QUOTE, without(QUOTE).as_expression(), QUOTE)
        self.made[ANYTHING] = Alt((string, *words, ARRAY, OBJECT))

    def members(self, members: list[Member]) -> Expression:
        for member in members:
            if not KEY.fullmatch(member.name):
                raise refuse(member.name, "Gemma writes names without quotes: choose a plain one")
        written = [(m.is_required, seq(m.name, ":", self.value(m.subs))) for m in members]
        return sieve(written, COMMA)

    def value(self, subs: Subs) -> Expression:
        """A rule for it: there may be references to it in it."""
        key = tuple(pointer for _, pointer in subs)
        if key not in self._names:
            name = self._names[key] = self.function.schema.new_name(f"{' & '.join(key)} bare")
            found = [self.typed(kind, facts) for kind, facts in self.function.values(subs)]
            self.made[name] = Alt(tuple(found))
        return Ref(self._names[key])

    def typed(self, kind: str, facts: Facts) -> Expression:
        if kind == "string":
            return seq(QUOTE, self.function.bare(kind, facts, QUOTE), QUOTE)
        if kind not in ("array", "object"):
            return self.function.bare(kind, facts)
        if facts.values is not None or facts.arrays.prefix or facts.arrays.unique:
            raise refuse(facts.pointer, "a call of Gemma's cannot be forced to have such a value")
        arrays, objects = facts.arrays, facts.objects
        if kind == "array":
            item = Ref(ANYTHING) if arrays.items is None else self.value(arrays.items)
            return seq("[", list_of(item, arrays.least, arrays.most), "]")
        if not objects.declares and not objects.required:
            return OBJECT
        return seq("{", self.members(self.function.members_of(facts)), "}")
