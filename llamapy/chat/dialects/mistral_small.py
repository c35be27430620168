"""Mistral Small 3.2: each call has its mark, and an id."""

from typing import ClassVar

from ...grammar.expressions import Expression, seq
from ..answer import ToolCall
from ..dialect import Dialect, Marks
from ..forcing import Function, an_id, several
from ..json_calls import named_call
from ..reading import Reading


class MistralSmall(Dialect):
    """[TOOL_CALLS]name[CALL_ID]id[ARGS]{...}"""

    signs: ClassVar[Marks] = ("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]")
    thinking = ("[THINK]", "[/THINK]")
    calling: ClassVar[Marks] = ("[TOOL_CALLS]",)
    layout: ClassVar[Marks] = ("</s>",)

    @classmethod
    def written(cls, function: Function) -> Expression:
        id = seq("[CALL_ID]", an_id(9, 9), "[ARGS]")
        return seq("[TOOL_CALLS]", function.name, id, function.arguments)

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        return several(call, "")

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        reader = self.reader
        name, end = yield from reader.until("[CALL_ID]", "[ARGS]", "{")
        id = None
        if end == "[CALL_ID]":
            id = (yield from reader.until("[ARGS]"))[0].strip()
        elif end == "{":
            reader.at -= 1
        return [(yield from named_call(self, name, id))]
