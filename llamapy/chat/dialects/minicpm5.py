"""MiniCPM 5."""

from typing import Any

from ...grammar.expressions import Expression, seq
from ..forcing import Function, Member
from ..reading import Reading
from ..tagged_calls import TaggedCalls


class MiniCPM5(TaggedCalls):
    """<function name="..."><param name="...">value</param></function>, without an outer tag"""

    signs = ('<function name="', '<param name="')
    outer = ("", "")
    function = ('<function name="', '">', "</function>")
    argument = ('<param name="', '">', "</param>")
    unspoken = (argument[2], "<![CDATA[")

    @classmethod
    def written_argument(cls, function: Function, member: Member) -> Expression:
        begin, named, end = cls.argument
        return seq(begin, member.name, named, function.text(member.subs, *cls.unspoken), end)

    def one_argument(self, function: str) -> Reading[tuple[str, Any]]:
        """Values with tags in them are marked."""
        reader, (_, named, end) = self.reader, self.argument
        key, _ = yield from reader.until(named)
        if not (yield from reader.skip("<![CDATA[")):
            text, _ = yield from reader.until(end)
            return key, self.typed(function, key, text)
        text, _ = yield from reader.until("]]>")
        yield from reader.space()
        yield from reader.expect(end)
        return key, text
