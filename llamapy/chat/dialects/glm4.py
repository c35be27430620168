"""GLM 4.5 to 4.7, Spark 2.5 and Laguna."""

from typing import Any, ClassVar

from ...grammar.expressions import Expression, seq
from ..answer import ToolCall
from ..dialect import Dialect, Marks
from ..forcing import LINE, Function, Member, where
from ..json_calls import checked_name
from ..reading import Malformed, Reading


class GLM4(Dialect):
    """<tool_call>name<arg_key>key</arg_key><arg_value>value</arg_value></tool_call>"""

    signs: ClassVar[Marks] = ("<tool_call>", "<arg_key>", "<arg_value>")
    calling: ClassVar[Marks] = ("<tool_call>",)
    interrupts: ClassVar[Marks] = ("<tool_call>",)
    layout: ClassVar[Marks] = ("</assistant>", "<|observation|>", "<|user|>")
    call_begin = "<tool_call>"
    call_end = "</tool_call>"
    key = ("<arg_key>", "</arg_key>")
    value = ("<arg_value>", "</arg_value>")
    name_end = ""
    unspoken: ClassVar[Marks] = value[1:]

    @classmethod
    def written(cls, function: Function) -> Expression:
        arguments = [
            where(member, seq(cls.written_argument(function, member), LINE))
            for member in function.members()
        ]
        return seq(cls.call_begin, function.name, cls.name_end, LINE, *arguments, cls.call_end)

    @classmethod
    def written_argument(cls, function: Function, member: Member) -> Expression:
        (key, key_end), (value, end) = cls.key, cls.value
        text = function.text(member.subs, end)
        return seq(key, member.name, key_end, LINE, value, text, end)

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        return [(yield from self.one_call())]

    def one_call(self) -> Reading[ToolCall]:
        """A call from its name on."""
        reader = self.reader
        ends = (*([self.name_end] if self.name_end else ()), self.key[0], self.call_end)
        name, end = yield from reader.until(*ends)
        if end != self.name_end:
            reader.at -= len(end)
        name = checked_name(name)
        arguments: dict[str, Any] = {}
        while True:
            yield from reader.space()
            if (yield from reader.skip(self.call_end)):
                return ToolCall(name, arguments)
            key, value = yield from self.one_argument(name)
            arguments[key] = value

    def one_argument(self, function: str) -> Reading[tuple[str, Any]]:
        reader = self.reader
        yield from reader.expect(self.key[0])
        key, _ = yield from reader.until(self.key[1])
        yield from reader.space()
        yield from reader.expect(self.value[0])
        text, _ = yield from reader.until(self.value[1])
        if not key.strip():
            raise Malformed
        return key.strip(), self.typed(function, key.strip(), text)
