"""Kimi K2: the id of a call has its name in it."""

from ...grammar.expressions import Expression, seq
from ..answer import ToolCall
from ..dialect import Dialect
from ..forcing import DIGITS, Function, several
from ..json_calls import named_call
from ..reading import Reading

SECTION, SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
CALL, CALL_END = "<|tool_call_begin|>", "<|tool_call_end|>"
ARGUMENTS = "<|tool_call_argument_begin|>"


class KimiK2(Dialect):
    """functions.name:number, a mark, and {...}; a section of calls, or calls alone"""

    signs = (CALL, ARGUMENTS)
    calling = (SECTION, CALL)
    interrupts = (SECTION, CALL)
    layout = (SECTION_END, "<|im_end|>")

    @classmethod
    def written(cls, function: Function) -> Expression:
        id = seq("functions.", function.name, ":", DIGITS)
        return seq(CALL, id, ARGUMENTS, function.arguments, CALL_END)

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        return seq(SECTION, several(call), SECTION_END)

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        reader = self.reader
        found: list[ToolCall] = []
        if mark == SECTION:
            yield from reader.space()
            yield from reader.expect(CALL)
        while True:
            id, _ = yield from reader.until(ARGUMENTS)
            name = id.strip().removeprefix("functions.").rpartition(":")[0]
            found.append((yield from named_call(self, name, id.strip())))
            yield from reader.space()
            yield from reader.skip(CALL_END)
            yield from reader.space()
            if not (yield from reader.skip(CALL)):
                yield from reader.skip(SECTION_END)
                return found
