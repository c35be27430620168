"""Calls that are JSON between two marks."""

from __future__ import annotations

from typing import Any, ClassVar

from .answer import ToolCall
from .dialect import Dialect
from .reading import Malformed, Reading, from_json

NAMES = ("name", "tool_name", "function")
ARGUMENTS = ("arguments", "parameters", "args")
IDS = ("id", "tool_call_id", "call_id")


class JSONCalls(Dialect):
    """An object or a list of them behind a mark, and maybe a mark behind it."""

    # closing marks by opening ones
    marks: ClassVar[dict[str, str]] = {}

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        reader, end = self.reader, self.marks[mark]
        found: list[ToolCall] = []
        while True:
            value = yield from reader.json()
            found += calls_of(value)
            yield from reader.space()
            if not end or (yield from reader.skip(end)) or (yield from reader.is_end()):
                return found

    def __init_subclass__(cls) -> None:
        if "marks" in vars(cls):
            cls.calling = tuple(cls.marks)


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


def checked_name(name: str) -> str:
    """A name of a function: one line without white space in it."""
    name = name.strip()
    if not name or any(character.isspace() for character in name):
        raise Malformed
    return name


def checked_arguments(arguments: Any) -> dict[str, Any]:
    """An object, which may be written as a string with JSON in it."""
    if isinstance(arguments, str):
        arguments = from_json(arguments) if arguments.strip() else {}
    if not isinstance(arguments, dict):
        raise Malformed
    return arguments
