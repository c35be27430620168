"""Apertus: the function's name is the key of its arguments."""

from ...grammar.expressions import Expression, seq
from ...grammar.json_rules import array_of, list_of, object_of
from ..answer import ToolCall
from ..dialect import Dialect
from ..forcing import Function, pair
from ..json_calls import checked_arguments, checked_name
from ..reading import Malformed, Reading


class Apertus(Dialect):
    """<|tools_prefix|>[{"name": {...}}]<|tools_suffix|>"""

    signs = ("<|tools_prefix|>", "<|inner_prefix|>")
    thinking = ("<|inner_prefix|>", "<|inner_suffix|>")
    calling = ("<|tools_prefix|>",)
    interrupts = ("<|tools_prefix|>",)
    layout = ("<|assistant_end|>",)

    @classmethod
    def written(cls, function: Function) -> Expression:
        return object_of(pair(function.name, function.arguments))

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        return seq("<|tools_prefix|>", array_of(list_of(call, 1)), "<|tools_suffix|>")

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        reader = self.reader
        calls = yield from reader.json()
        yield from reader.space()
        if not (yield from reader.is_end()):
            yield from reader.expect("<|tools_suffix|>")
        if not isinstance(calls, list) or not all(isinstance(each, dict) for each in calls):
            raise Malformed
        return [
            ToolCall(checked_name(name), checked_arguments(arguments))
            for each in calls
            for name, arguments in each.items()
        ]
