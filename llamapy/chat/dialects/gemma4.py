"""Gemma 4: JSON with bare keys, and quotes that are a token."""

import re
from typing import Any

from ..answer import ToolCall
from ..dialect import Dialect
from ..json_calls import checked_name
from ..reading import Malformed, Reading, from_json

CHANNEL = "<|channel>"
QUOTE = '<|"|>'
WORD = re.compile(r"[-+.\w]")


class Gemma4(Dialect):
    """<|tool_call>call:name{key:value}<tool_call|>, reasoning in a channel"""

    signs = ("<|tool_call>", "<tool_call|>")
    thinking = (f"{CHANNEL}thought", "<channel|>")
    calling = ("<|tool_call>",)
    layout = ("<|turn>model\n", "<turn|>", "<|tool_response>")

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
