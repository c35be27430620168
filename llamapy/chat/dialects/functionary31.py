"""Functionary 3.1, and Llama 3.1 with tools of one's own."""

from ...grammar.expressions import Expression, seq
from ..answer import ToolCall
from ..forcing import Function, several
from ..json_calls import named_call
from ..reading import Reading
from .llama3 import TAG, Llama3


class Functionary31(Llama3):
    """<function=name>{...}</function>; or <|python_tag|> and code."""

    signs = ("<function=", "</function>", TAG)
    calling = ("<function=", TAG)

    @classmethod
    def written(cls, function: Function) -> Expression:
        return seq("<function=", function.name, ">", function.arguments, "</function>")

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        return several(call)

    def bare_calls(self) -> Reading[None]:
        """It has none."""
        return
        yield

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        if mark == TAG:
            return (yield from super().calls(mark))
        reader = self.reader
        name, _ = yield from reader.until(">")
        call = yield from named_call(self, name)
        yield from reader.space()
        if not (yield from reader.is_end()):
            yield from reader.expect("</function>")
        return [call]
