"""Calls written with tags: one for the function, and one for every argument."""

from __future__ import annotations

from typing import Any, ClassVar

from ..grammar.expressions import Expression, seq
from .answer import ToolCall
from .dialect import Dialect
from .forcing import LINE, Function, Member, several, where
from .json_calls import checked_name
from .reading import Malformed, Reading


class TaggedCalls(Dialect):
    """<function=NAME> <parameter=KEY>VALUE</parameter> </function>, inside of an outer tag or not.

    Values are bare text; the tools' schemas say what they are.
    """

    outer: ClassVar[tuple[str, str]]
    # before and behind the name, and at the end
    function: ClassVar[tuple[str, str, str]]
    argument: ClassVar[tuple[str, str, str]]

    def __init_subclass__(cls) -> None:
        if "outer" in vars(cls) and "calling" not in vars(cls):
            cls.calling = (cls.outer[0] or cls.function[0],)
        if "argument" in vars(cls) and "unspoken" not in vars(cls):
            cls.unspoken = (cls.argument[2],)

    @classmethod
    def written(cls, function: Function) -> Expression:
        begin, named, end = cls.function
        arguments = [
            where(member, seq(cls.written_argument(function, member), LINE))
            for member in function.members()
        ]
        return seq(begin, function.name, named, LINE, *arguments, end)

    @classmethod
    def written_argument(cls, function: Function, member: Member) -> Expression:
        begin, named, end = cls.argument
        return seq(begin, member.name, named, function.line(member.subs, *cls.unspoken), end)

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        begin, end = cls.outer
        return seq(begin, LINE, several(call), LINE, end) if begin else several(call)

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        reader, opens = self.reader, self.function[0]
        found: list[ToolCall] = []
        if mark == opens:
            return [(yield from self.function_call())]
        while True:
            yield from reader.space()
            if (yield from reader.skip(opens)):
                found.append((yield from self.function_call()))
            elif (yield from reader.skip(self.end_of(mark))) or (yield from reader.is_end()):
                return found
            else:
                raise Malformed

    def end_of(self, mark: str) -> str:
        """The mark that closes what this one opened."""
        return self.outer[1]

    def function_call(self) -> Reading[ToolCall]:
        """A call from its name on."""
        reader, end = self.reader, self.function[2]
        name = checked_name((yield from self.function_name()))
        arguments: dict[str, Any] = {}
        while True:
            yield from reader.space()
            if (yield from reader.skip(end)):
                return ToolCall(name, arguments)
            yield from reader.expect(self.argument[0])
            key, value = yield from self.one_argument(name)
            arguments[key] = value

    def function_name(self) -> Reading[str]:
        return (yield from self.reader.until(self.function[1]))[0]

    def one_argument(self, function: str) -> Reading[tuple[str, Any]]:
        """An argument from its name on."""
        reader, (_, named, end) = self.reader, self.argument
        key, _ = yield from reader.until(named)
        text, _ = yield from reader.until(end)
        return key.strip(), self.typed(function, key.strip(), without_line_ends(text))


def without_line_ends(text: str) -> str:
    """Values may stand on lines of their own."""
    return text[1:].removesuffix("\n") if text.startswith("\n") else text
