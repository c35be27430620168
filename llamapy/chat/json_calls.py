"""Calls that are JSON between two marks."""

from __future__ import annotations

from typing import Any, ClassVar

from ..grammar.expressions import Expression, alt, literal, seq
from ..grammar.json_rules import array_of, dumped, list_of, object_of, sequence_of
from .answer import ToolCall
from .dialect import Dialect
from .drafts import ARGUMENTS, IDS, NAMES, CallReader, checked_name
from .forcing import LINE, Function, an_id, pair, several
from .reading import Malformed, Reading, from_json


class JSONCalls(Dialect):
    """An object or a list of them behind a mark, and maybe a mark behind it."""

    # closing marks by opening ones
    marks: ClassVar[dict[str, str]] = {}
    # the members of a call, as they are written
    members: ClassVar[tuple[str, ...]] = ("name", "arguments")
    # how long an id is that is one of them
    id_length: ClassVar[tuple[int, int]] = (1, 9)

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        reader, end = self.reader, self.marks[mark]
        found: list[ToolCall] = []
        while True:
            value = yield from reader.json(CallReader(self.drafts))
            found += calls_of(value)
            yield from reader.space()
            if not end or (yield from reader.skip(end)) or (yield from reader.is_end()):
                return found

    @classmethod
    def written(cls, function: Function) -> Expression:
        id = seq('"', an_id(*cls.id_length), '"')
        values = dict.fromkeys(NAMES, literal(dumped(function.name))) | dict.fromkeys(IDS, id)
        values |= dict.fromkeys(ARGUMENTS, function.arguments)
        return object_of(sequence_of([pair(name, values[name]) for name in cls.members]))

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        mark, end = next(iter(cls.marks.items()))
        calls = alt(call, array_of(list_of(call, 1)))
        return several(seq(mark, LINE, calls, LINE, end)) if end else seq(mark, LINE, calls)

    def __init_subclass__(cls) -> None:
        if "marks" in vars(cls):
            cls.calling = tuple(cls.marks)


def named_call(dialect: Dialect, name: str, id: str | None = None) -> Reading[ToolCall]:
    """The call of a function whose name was read: its arguments are JSON."""
    name = checked_name(name)
    arguments = yield from dialect.reader.json(dialect.drafts.begin(name, id))
    return ToolCall(name, checked_arguments(arguments), id)


def calls_of(value: Any) -> list[ToolCall]:
    """The calls that JSON describes."""
    return [call_of(each) for each in (value if isinstance(value, list) else [value])]


def call_of(value: Any) -> ToolCall:
    """{"name": ..., "arguments": {...}}, with the words that the families have for it."""
    if not isinstance(value, dict):
        raise Malformed
    if isinstance(value.get("function"), dict):
        value = {**value, **value["function"]}
    name = next((value[key] for key in NAMES if isinstance(value.get(key), str)), "")
    id = next((str(value[key]) for key in IDS if value.get(key) not in (None, "")), None)
    arguments: Any = next((value[key] for key in ARGUMENTS if value.get(key) is not None), {})
    return ToolCall(checked_name(name), checked_arguments(arguments), id)


def checked_arguments(arguments: Any) -> dict[str, Any]:
    """An object, which may be written as a string with JSON in it."""
    if isinstance(arguments, str):
        arguments = from_json(arguments) if arguments.strip() else {}
    if not isinstance(arguments, dict):
        raise Malformed
    return arguments
