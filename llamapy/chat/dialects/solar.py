"""Solar Open: reasoning and text are messages; calls have ids."""

from ...grammar.expressions import Expression, alt, seq
from ..answer import ToolCall
from ..dialect import Dialect
from ..forcing import Function, an_id, several
from ..json_calls import named_call
from ..reading import Reading

CALL, NAME, ARGUMENTS, END = (f"<|tool_call:{word}|>" for word in ("begin", "name", "args", "end"))


class Solar(Dialect):
    """<|think|>reasoning<|end|>, <|content|>text, <|tool_calls|> and calls"""

    signs = (CALL, NAME, ARGUMENTS)
    thinking = ("<|think|>", "<|end|>")
    calling = (CALL,)
    layout = ("<|begin|>assistant", "<|content|>", "<|tool_calls|>", "<|calls|>", "<|flush|>")

    @classmethod
    def written(cls, function: Function) -> Expression:
        return seq(CALL, an_id(), NAME, function.name, ARGUMENTS, function.arguments, END)

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        return seq(alt("", "<|begin|>assistant"), "<|tool_calls|>", several(call, ""))

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        reader = self.reader
        id, _ = yield from reader.until(NAME)
        name, _ = yield from reader.until(ARGUMENTS)
        call = yield from named_call(self, name, id.strip() or None)
        yield from reader.space()
        if not (yield from reader.is_end()):
            yield from reader.expect(END)
        return [call]
