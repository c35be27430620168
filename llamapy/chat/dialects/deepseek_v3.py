"""DeepSeek V3 and R1."""

# ruff: noqa: RUF001 -- the marks have characters that look like others

from typing import ClassVar

from ...grammar.expressions import Expression, seq
from ..answer import ToolCall
from ..dialect import Dialect, Marks
from ..forcing import Function, several
from ..json_calls import named_call
from ..reading import Reading

SECTION, SECTION_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL, CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"
BETWEEN = "<｜tool▁sep｜>"


class DeepSeekV3(Dialect):
    """Calls with the arguments in a block of code: function, a mark, name, ```json {...}```"""

    signs: ClassVar[Marks] = (SECTION, CALL, BETWEEN, "```json")
    calling: ClassVar[Marks] = (SECTION, CALL)
    interrupts: ClassVar[Marks] = (SECTION,)
    layout: ClassVar[Marks] = ("<｜end▁of▁sentence｜>",)

    @classmethod
    def written(cls, function: Function) -> Expression:
        code = seq("\n```json\n", function.arguments, "\n```")
        return seq(CALL, "function", BETWEEN, function.name, code, CALL_END)

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        return seq(SECTION, several(call), SECTION_END)

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        reader = self.reader
        found: list[ToolCall] = []
        if mark == CALL:
            reader.at -= len(CALL)
        while True:
            yield from reader.space()
            if (yield from reader.skip(SECTION_END)) or (yield from reader.is_end()):
                return found
            yield from reader.expect(CALL)
            found.append((yield from self.one_call()))
            yield from reader.space()
            if not (yield from reader.is_end()):
                yield from reader.expect(CALL_END)
            if mark == CALL:
                return found

    def one_call(self) -> Reading[ToolCall]:
        reader = self.reader
        yield from reader.until(BETWEEN)
        name, _ = yield from reader.until("\n", "```json")
        yield from reader.space()
        yield from reader.skip("```json")
        call = yield from named_call(self, name)
        yield from reader.space()
        yield from reader.skip("```")
        return call
