"""Functionary 3.1, and Llama 3.1 with tools of one's own."""

from ..answer import ToolCall
from ..json_calls import checked_arguments, checked_name
from ..reading import Reading
from .llama3 import TAG, Llama3


class Functionary31(Llama3):
    """<function=name>{...}</function>; or <|python_tag|> and code."""

    signs = ("<function=", "</function>", TAG)
    calling = ("<function=", TAG)

    def bare_calls(self) -> Reading[None]:
        """It has none."""
        return
        yield

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        if mark == TAG:
            return (yield from super().calls(mark))
        reader = self.reader
        name, _ = yield from reader.until(">")
        arguments = checked_arguments((yield from reader.json()))
        yield from reader.space()
        if not (yield from reader.is_end()):
            yield from reader.expect("</function>")
        return [ToolCall(checked_name(name), arguments)]
