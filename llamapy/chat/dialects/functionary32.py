"""Functionary 3.2: everything is addressed to somebody."""

from ...grammar.expressions import Expression, seq
from ..answer import ToolCall
from ..dialect import Dialect
from ..forcing import Function, several
from ..json_calls import named_call
from ..reading import Malformed, Reading

TO = ">>>"
ALL = "all\n"


class Functionary32(Dialect):
    """Three marks and `all`, a line end, and text; or a name, a line end, and {...}"""

    signs = (">>>all", ">>>${recipient}")
    calling = (TO,)
    layout = ("<|eot_id|>",)

    @classmethod
    def written(cls, function: Function) -> Expression:
        return seq(function.name, "\n", function.arguments)

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        return several(call, TO)

    def talk(self) -> Reading[None]:
        """The prompt ends with `>>>`."""
        yield from self.reader.skip(TO)
        if self.may_call:
            yield from self.call("")
        else:
            yield from self.reader.skip(ALL)
        yield from super().talk()

    def call(self, mark: str) -> Reading[None]:
        if (yield from self.reader.skip(ALL)):
            self.content.aside()
        else:
            yield from super().call(mark)

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        reader = self.reader
        name = ""
        while not name.endswith("\n"):
            start = reader.at
            character = yield from reader.peek(1)
            if not (character.isalnum() or character in ("_", "-", ".", "\n")):
                raise Malformed
            reader.at = start + 1
            name += character
        if name.strip() in ("python", "ipython") and (yield from reader.peek(1)) != "{":
            return [ToolCall("python", {"code": (yield from reader.rest("<|eot_id|>")).strip()})]
        return [(yield from named_call(self, name))]
