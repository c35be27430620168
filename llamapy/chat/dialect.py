"""How a family of models writes its answers: where it reasons, and how it calls tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import UnsupportedError
from .answer import Answer, Flow, ToolCall
from .drafts import Drafts
from .reading import Malformed, Reader, Reading, any_of, from_json, half_mark

if TYPE_CHECKING:
    from ..grammar.expressions import Expression
    from .forcing import Function

Tools = Sequence[Mapping[str, Any]]
Marks = tuple[str, ...]


class Dialect:
    """Text with reasoning before it and calls in it. A family overrides what it does otherwise.

    One object reads one answer.
    """

    # texts in a chat template by which its dialect is known: the most telling dialect wins
    signs: ClassVar[tuple[str, ...]] = ()
    # what opens and closes reasoning
    thinking: ClassVar[tuple[str, str]] = ("<think>", "</think>")
    # what ends reasoning, too, and belongs to what follows
    interrupts: ClassVar[tuple[str, ...]] = ()
    # marks that open calls
    calling: ClassVar[tuple[str, ...]] = ()
    # marks that say nothing
    layout: ClassVar[tuple[str, ...]] = ()
    # marks that calls which have to be written do not have in strings: they end something
    unspoken: ClassVar[tuple[str, ...]] = ()

    def __init__(self, tools: Tools | None = None) -> None:
        """With `tools` arguments get their types; an empty list says that nothing is a call."""
        self.schemas = {name: schema for name, schema in map(_schema, tools or ()) if name}
        self.may_call = tools is None or bool(tools)
        self.reader = Reader()
        self.content, self.reasoning = Flow(), Flow()
        self._calls: list[ToolCall] = []
        self.drafts = Drafts(self.schemas)

    @classmethod
    def is_of(cls, template: str) -> bool:
        return all(sign in template for sign in cls.signs)

    def take(self) -> Answer:
        """What has become clear since the last time."""
        calls, self._calls = self._calls, []
        whole = Answer(self.content.take(), self.reasoning.take(), tuple(calls))
        return sum([Answer(call_pieces=(piece,)) for piece in self.drafts.take()], whole)

    # ---- reading

    def read(self, prompt: str) -> Reading[None]:
        """All of an answer. The prompt's end may have opened something already."""
        if self.thinks_already(prompt):
            yield from self.reader.space()
            yield from self.reader.skip(self.thinking[0])  # some models say it again
            yield from self.think()
        yield from self.talk()
        self.content.end()

    def thinks_already(self, prompt: str) -> bool:
        opens = self.thinking[0].rstrip()
        opened = prompt.rfind(opens)
        return opened >= 0 and not prompt[opened + len(opens) :].strip()

    def think(self) -> Reading[None]:
        """Reasoning to its end."""
        self.content.aside()
        self.reasoning.aside()
        mark = yield from self.pass_on(self.reasoning, (self.thinking[1], *self.interrupts))
        if mark in self.interrupts:
            self.reader.at -= len(mark)
        self.reasoning.aside()

    def talk(self) -> Reading[None]:
        """Text and what is in it, to the end."""
        calling = self.calling if self.may_call else ()
        marks = (*calling, *self.layout, *self.thinking)
        while mark := (yield from self.pass_on(self.content, marks)):
            if mark in calling:
                yield from self.call(mark)
            elif mark in self.layout:
                self.content.aside()
            elif self.content.begun:  # somebody writes about reasoning
                self.content.write(mark)
            elif mark == self.thinking[0]:
                yield from self.think()
            else:
                self.content.aside()

    def pass_on(self, flow: Flow, marks: tuple[str, ...]) -> Reading[str]:
        """Text up to the next mark, which is read, or to the end."""
        reader, pattern = self.reader, any_of(marks)
        while True:
            reader.forget()
            if found := pattern.search(reader.text, reader.at):
                flow.write(reader.text[reader.at : found.start()])
                reader.at = found.end()
                return found[0]
            clear = len(reader.text) - half_mark(reader.text, reader.at, marks)
            flow.write(reader.text[reader.at : clear])
            reader.at = clear
            if not (yield from reader.more()):
                flow.write(reader.text[clear:])
                reader.at = len(reader.text)
                return ""

    def call(self, mark: str) -> Reading[None]:
        """Calls behind a mark; if there are none, it was text."""
        start = self.reader.at
        try:
            found = yield from self.calls(mark)
            if not found:
                raise Malformed
        except Malformed:
            self.reader.at = start
            self.drafts.drop()
            self.content.write(mark)
        else:
            self.content.aside()
            self.add(found)

    def add(self, calls: list[ToolCall]) -> None:
        """These calls are complete."""
        self._calls += calls
        self.drafts.settle(calls)

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        """The calls that follow a mark."""
        raise Malformed
        yield

    # ---- writing

    @classmethod
    def written(cls, function: Function) -> Expression:
        """A call of this function, for a model that has to write one."""
        raise UnsupportedError(
            f"the dialect {cls.__name__}, which this chat template shows, has no calls of tools, "
            f"so that none can be forced; all other dialects have: name one with dialect=, or use "
            f"tool_choice='auto'"
        )

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        """One such call or several, with the marks around them."""
        from .forcing import several

        return several(call)

    # ---- arguments

    def typed(self, function: str, argument: str, text: str) -> Any:
        """An argument that was written as bare text: its schema says what it is, or JSON does."""
        return typed(self.schemas.get(function, {}).get("properties", {}).get(argument), text)


def typed(schema: Any, text: str) -> Any:
    """Bare text as a value that its schema allows, if it is one."""
    kinds = kinds_of(schema)
    if kinds == {"string"}:
        return text
    try:
        value = from_json(text.strip())
    except Malformed:
        if kinds and "string" not in kinds:
            return PYTHON_WORDS.get(text.strip(), text)
        return text
    return text if "string" in kinds and kind_of(value) not in kinds else value


PYTHON_WORDS = {"True": True, "False": False, "None": None}


def _schema(tool: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """A function's name, and the schema of its arguments."""
    function = tool.get("function", tool)
    return str(function.get("name", "")), function.get("parameters") or {}


def kinds_of(schema: Any) -> set[str]:
    """The JSON types that a schema allows; none if it does not say."""
    if not isinstance(schema, Mapping):
        return set()
    if (kind := schema.get("type")) is not None:
        return {kind} if isinstance(kind, str) else set(kind)
    if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return {kind_of(value) for value in values}
    options = [each for word in ("anyOf", "oneOf") for each in schema.get(word, ())]
    return {kind for option in options for kind in kinds_of(option)}


def kind_of(value: Any) -> str:
    """The JSON type of a value."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return "null" if value is None else kinds.get(type(value), "object")
